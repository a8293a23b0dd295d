"""The VMX capability MSRs (Vol. 3D App. A “VMX Capability Reporting Facility”); their values come from the model."""

from vmxon.arch.bits import Word, field, flag
from vmxon.arch.features import Feature
from vmxon.arch.msr_rules import Storage, declare, msr


@msr(0x480, "IA32_VMX_BASIC", storage=Storage.MODEL, feature=Feature.VMX)
class VmxBasic(Word, width=64):
    """Basic VMX information (Vol. 3D App. A.1 “Basic VMX Information”)."""

    revision = field(30, 0, "revision identifier that VMXON and VMCS regions must hold")
    region_size = field(44, 32, "bytes of a VMXON or VMCS region")
    address_32 = flag(48, "structures must lie below 4 GiB")
    dual_monitor = flag(49, "dual-monitor treatment of SMI")
    memory_type = field(53, 50, "memory type for VMCS accesses: 0 UC, 6 WB")
    io_information = flag(54, "exits on INS and OUTS fill the instruction-information field")
    true_controls = flag(55, "the TRUE control MSRs exist: default-1 bits may be cleared")
    any_error_code = flag(56, "hardware exceptions can be injected with or without error code, whatever the vector")
    nested_exception = flag(58, "the nested-exception bit can be injected")


class AllowedSettings(Word, width=64):
    """A pair of masks over a 32-bit control vector (Vol. 3D App. A.2 “Reserved Controls and Default Settings”)."""

    must_be_one = field(31, 0, "controls that may not be 0")
    may_be_one = field(63, 32, "controls that may be 1")


class AllowedOnes(Word, width=64):
    """Controls that may be 1; the others must be 0, and none must be 1."""

    may_be_one = field(63, 0, "controls that may be 1")


@msr(0x485, "IA32_VMX_MISC", storage=Storage.MODEL, feature=Feature.VMX)
class VmxMisc(Word, width=64):
    """Miscellaneous VMX data (Vol. 3D App. A.6 “Miscellaneous Data”)."""

    timer_shift = field(4, 0, "the preemption timer counts down when this bit of the TSC changes")
    saves_lma = flag(5, "VM exits store IA32_EFER.LMA into “IA-32e mode guest”")
    hlt_state = flag(6, "activity state HLT is supported")
    shutdown_state = flag(7, "activity state shutdown is supported")
    wait_for_sipi_state = flag(8, "activity state wait-for-SIPI is supported")
    pt_in_vmx = flag(14, "Intel Processor Trace can be used in VMX operation")
    smbase_readable = flag(15, "RDMSR reads IA32_SMBASE in SMM")
    cr3_targets = field(24, 16, "number of CR3-target values")
    msr_list_size = field(27, 25, "recommended most entries of an MSR list: 512 × (this + 1)")
    smi_unblock = flag(28, "bit 2 of IA32_SMM_MONITOR_CTL can be set")
    writes_any_field = flag(29, "VMWRITE can write VM-exit information fields")
    zero_length_injection = flag(30, "software events can be injected with instruction length 0")
    mseg_revision = field(63, 32, "revision identifier of the MSEG")


@msr(0x48A, "IA32_VMX_VMCS_ENUM", storage=Storage.MODEL, feature=Feature.VMX)
class VmcsEnum(Word, width=64):
    """Highest index of a VMCS field encoding (Vol. 3D App. A.9 “VMCS Enumeration”)."""

    highest_index = field(9, 1, "highest value of bits 9:1 among the encodings that the processor supports")


@msr(0x48C, "IA32_VMX_EPT_VPID_CAP", storage=Storage.MODEL, feature=Feature.VMX)
class EptVpidCapabilities(Word, width=64):
    """What EPT and VPID can do (Vol. 3D App. A.10 “VPID and EPT Capabilities”)."""

    execute_only = flag(0, "EPT entries may allow fetches alone")
    walk_4 = flag(6, "page walks of 4 levels")
    walk_5 = flag(7, "page walks of 5 levels")
    memory_type_uc = flag(8, "EPT structures may be uncacheable")
    memory_type_wb = flag(14, "EPT structures may be write-back")
    pages_2m = flag(16, "2-MiB pages")
    pages_1g = flag(17, "1-GiB pages")
    invept = flag(20, "INVEPT")
    accessed_dirty = flag(21, "accessed and dirty flags")
    advanced_exit_information = flag(22, "EPT violations report the guest's page permissions")
    supervisor_shadow_stack = flag(23, "supervisor shadow-stack control")
    invept_single = flag(25, "INVEPT type 1, one context")
    invept_all = flag(26, "INVEPT type 2, all contexts")
    invvpid = flag(32, "INVVPID")
    invvpid_address = flag(40, "INVVPID type 0, one address")
    invvpid_single = flag(41, "INVVPID type 1, one VPID")
    invvpid_all = flag(42, "INVVPID type 2, all VPIDs")
    invvpid_retaining_globals = flag(43, "INVVPID type 3, one VPID but for global translations")
    hlat_prefix = field(53, 48, "largest HLAT prefix size")


for _address, _name in (
    (0x481, "PINBASED"),
    (0x482, "PROCBASED"),
    (0x483, "EXIT"),
    (0x484, "ENTRY"),
    (0x48D, "TRUE_PINBASED"),
    (0x48E, "TRUE_PROCBASED"),
    (0x48F, "TRUE_EXIT"),
    (0x490, "TRUE_ENTRY"),
):
    declare(_address, f"IA32_VMX_{_name}_CTLS", AllowedSettings, storage=Storage.MODEL, feature=Feature.VMX)

for _address, _name in ((0x486, "CR0_FIXED0"), (0x487, "CR0_FIXED1"), (0x488, "CR4_FIXED0"), (0x489, "CR4_FIXED1")):
    declare(_address, f"IA32_VMX_{_name}", storage=Storage.MODEL, feature=Feature.VMX)

declare(0x48B, "IA32_VMX_PROCBASED_CTLS2", AllowedSettings, storage=Storage.MODEL, feature=Feature.VMX)
declare(0x491, "IA32_VMX_VMFUNC", AllowedOnes, storage=Storage.MODEL, feature=Feature.VMX)
declare(0x492, "IA32_VMX_PROCBASED_CTLS3", AllowedOnes, storage=Storage.MODEL, feature=Feature.VMX)
declare(0x493, "IA32_VMX_EXIT_CTLS2", AllowedOnes, storage=Storage.MODEL, feature=Feature.VMX)
