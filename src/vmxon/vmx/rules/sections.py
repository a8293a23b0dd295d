"""The manual's sections on VM-entry checks, for the rules to cite."""

from vmxon.arch.sdm import Sdm

EXECUTION = Sdm("3C", "27.2.1.1", "VM-Execution Control Fields")
EXIT = Sdm("3C", "27.2.1.2", "VM-Exit Control Fields")
ENTRY = Sdm("3C", "27.2.1.3", "VM-Entry Control Fields")
HOST_REGISTERS = Sdm("3C", "27.2.2", "Checks on Host Control Registers, MSRs, and SSP")
HOST_SEGMENTS = Sdm("3C", "27.2.3", "Checks on Host Segment and Descriptor-Table Registers")
HOST_ADDRESS_SPACE = Sdm("3C", "27.2.4", "Checks Related to Address-Space Size")
GUEST_REGISTERS = Sdm("3C", "27.3.1.1", "Checks on Guest Control Registers, Debug Registers, and MSRs")
GUEST_SEGMENTS = Sdm("3C", "27.3.1.2", "Checks on Guest Segment Registers")
GUEST_TABLES = Sdm("3C", "27.3.1.3", "Checks on Guest Descriptor-Table Registers")
GUEST_POINTERS = Sdm("3C", "27.3.1.4", "Checks on Guest RIP, RFLAGS, and SSP")
GUEST_NON_REGISTER = Sdm("3C", "27.3.1.5", "Checks on Guest Non-Register State")
GUEST_PDPTES = Sdm("3C", "27.3.1.6", "Checks on Guest Page-Directory-Pointer-Table Entries")
