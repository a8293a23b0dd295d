"""The VMCS fields (Vol. 3D App. B “Field Encoding in VMCS”)."""

from __future__ import annotations

from enum import IntEnum
from functools import cached_property


class Width(IntEnum):
    """Bits 14:13 of an encoding."""

    W16 = 0
    W64 = 1
    W32 = 2
    NATURAL = 3

    @property
    def bits(self) -> int:
        """Size of the value; natural width is 64 on a processor with Intel 64."""
        return (16, 64, 32, 64)[self]


class Kind(IntEnum):
    """Bits 11:10 of an encoding."""

    CONTROL = 0
    EXIT_INFORMATION = 1
    GUEST = 2
    HOST = 3


class VmcsField(IntEnum):
    """Every VMCS field by its encoding, in the order of the manual's tables; the string after a field says what it is.

    Width, kind and index are read off the encoding (Vol. 3C §25.11.2 “VMREAD, VMWRITE, and Encodings of VMCS Fields”).
    """

    doc: str
    slot: int
    """Our dense number of the field, 0 to `len(VmcsField) - 1` in table order: its place in the VMCS cache."""

    def __new__(cls, encoding: int, doc: str = "") -> VmcsField:
        """Number the fields as they are declared."""
        field = int.__new__(cls, encoding)
        field._value_ = encoding
        field.doc = doc
        field.slot = len(cls.__members__)
        return field

    # B.1.1 16-bit control fields
    VPID = 0x0000, "tag of the guest's linear translations; not 0 under “enable VPID”"
    POSTED_INTERRUPT_NOTIFICATION_VECTOR = 0x0002, "vector whose arrival makes the processor fetch posted interrupts"
    EPTP_INDEX = 0x0004, "entry of the EPTP list in use, for virtualization exceptions"
    HLAT_PREFIX_SIZE = 0x0006, "how many high address bits must be ones for HLAT paging to apply"
    LAST_PID_POINTER_INDEX = 0x0008, "index of the last entry of the PID-pointer table"
    VIRTUAL_TIMER_VECTOR = 0x000A, "vector of the virtualized APIC timer"

    # B.1.2 16-bit guest-state fields
    GUEST_ES_SELECTOR = 0x0800, "guest ES, selector"
    GUEST_CS_SELECTOR = 0x0802, "guest CS, selector"
    GUEST_SS_SELECTOR = 0x0804, "guest SS, selector"
    GUEST_DS_SELECTOR = 0x0806, "guest DS, selector"
    GUEST_FS_SELECTOR = 0x0808, "guest FS, selector"
    GUEST_GS_SELECTOR = 0x080A, "guest GS, selector"
    GUEST_LDTR_SELECTOR = 0x080C, "guest LDTR, selector"
    GUEST_TR_SELECTOR = 0x080E, "guest TR, selector"
    GUEST_INTERRUPT_STATUS = 0x0810, "virtual interrupts: requested vector in the low byte, in service in the high byte"
    GUEST_PML_INDEX = 0x0812, "next entry of the page-modification log, counting down from 511"
    GUEST_UINV = 0x0814, "guest's user-interrupt notification vector"

    # B.1.3 16-bit host-state fields
    HOST_ES_SELECTOR = 0x0C00, "ES that a VM exit loads"
    HOST_CS_SELECTOR = 0x0C02, "CS that a VM exit loads; never null"
    HOST_SS_SELECTOR = 0x0C04, "SS that a VM exit loads"
    HOST_DS_SELECTOR = 0x0C06, "DS that a VM exit loads"
    HOST_FS_SELECTOR = 0x0C08, "FS that a VM exit loads"
    HOST_GS_SELECTOR = 0x0C0A, "GS that a VM exit loads"
    HOST_TR_SELECTOR = 0x0C0C, "TR that a VM exit loads; never null"

    # B.2.1 64-bit control fields
    IO_BITMAP_A_ADDRESS = 0x2000, "physical address of the I/O bitmap of ports 0000–7FFF"
    IO_BITMAP_B_ADDRESS = 0x2002, "physical address of the I/O bitmap of ports 8000–FFFF"
    MSR_BITMAP_ADDRESS = 0x2004, "physical address of the four MSR bitmaps: read low, read high, write low, write high"
    VM_EXIT_MSR_STORE_ADDRESS = 0x2006, "physical address of the list of MSRs that a VM exit stores"
    VM_EXIT_MSR_LOAD_ADDRESS = 0x2008, "physical address of the list of MSRs that a VM exit loads"
    VM_ENTRY_MSR_LOAD_ADDRESS = 0x200A, "physical address of the list of MSRs that VM entry loads"
    EXECUTIVE_VMCS_POINTER = 0x200C, "VMCS of the executive monitor, for dual-monitor SMM"
    PML_ADDRESS = 0x200E, "physical address of the page-modification log"
    TSC_OFFSET = 0x2010, "added to what the guest reads from the TSC"
    VIRTUAL_APIC_ADDRESS = 0x2012, "physical address of the virtual-APIC page"
    APIC_ACCESS_ADDRESS = 0x2014, "guest-physical page whose accesses are APIC accesses"
    POSTED_INTERRUPT_DESCRIPTOR_ADDRESS = 0x2016, "physical address of the posted-interrupt descriptor"
    VM_FUNCTION_CONTROLS = 0x2018, "VM functions that the guest may invoke"
    EPTP = 0x201A, "root and format of the extended page tables"
    EOI_EXIT_BITMAP_0 = 0x201C, "vectors 0–63 whose virtual EOI exits"
    EOI_EXIT_BITMAP_1 = 0x201E, "vectors 64–127 whose virtual EOI exits"
    EOI_EXIT_BITMAP_2 = 0x2020, "vectors 128–191 whose virtual EOI exits"
    EOI_EXIT_BITMAP_3 = 0x2022, "vectors 192–255 whose virtual EOI exits"
    EPTP_LIST_ADDRESS = 0x2024, "physical address of the 512 EPTPs that VMFUNC can switch to"
    VMREAD_BITMAP_ADDRESS = 0x2026, "physical address of the bitmap of fields whose VMREAD exits"
    VMWRITE_BITMAP_ADDRESS = 0x2028, "physical address of the bitmap of fields whose VMWRITE exits"
    VIRTUALIZATION_EXCEPTION_INFORMATION_ADDRESS = 0x202A, "physical address of the page that #VE fills"
    XSS_EXITING_BITMAP = 0x202C, "state components whose XSAVES or XRSTORS exits"
    ENCLS_EXITING_BITMAP = 0x202E, "ENCLS leaves that exit"
    SPPTP = 0x2030, "root of the sub-page permission tables"
    TSC_MULTIPLIER = 0x2032, "what the guest's TSC is multiplied by: 16 whole bits, 48 after the binary point"
    TERTIARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS = 0x2034, "which instructions exit, third vector"
    ENCLV_EXITING_BITMAP = 0x2036, "ENCLV leaves that exit"
    LOW_PASID_DIRECTORY_ADDRESS = 0x2038, "physical address of the PASID directory of the lower half"
    HIGH_PASID_DIRECTORY_ADDRESS = 0x203A, "physical address of the PASID directory of the upper half"
    SHARED_EPTP = 0x203C, "SEAM: root of the EPT of shared memory"
    PCONFIG_EXITING_BITMAP = 0x203E, "PCONFIG leaves that exit"
    HLATP = 0x2040, "root of the hypervisor-managed linear-address translation"
    PID_POINTER_TABLE_ADDRESS = 0x2042, "physical address of the table of posted-interrupt descriptors, for IPIs"
    SECONDARY_VM_EXIT_CONTROLS = 0x2044, "what a VM exit does, second vector"
    IA32_SPEC_CTRL_MASK = 0x204A, "bits of IA32_SPEC_CTRL that the guest cannot change"
    IA32_SPEC_CTRL_SHADOW = 0x204C, "what the guest reads from IA32_SPEC_CTRL"
    GUEST_DEADLINE_SHADOW = 0x204E, "deadline of the virtualized APIC timer on the guest's own clock"
    INJECTED_EVENT_DATA = 0x2052, "FRED event data of the injected event"

    # B.2.2 64-bit read-only data fields
    GUEST_PHYSICAL_ADDRESS = 0x2400, "guest-physical address of an EPT violation or misconfiguration"
    MSR_DATA = 0x2402, "value that WRMSRLIST was about to write"
    ORIGINAL_EVENT_DATA = 0x2404, "FRED event data of the event whose delivery the exit interrupted"

    # B.2.3 64-bit guest-state fields
    VMCS_LINK_POINTER = 0x2800, "shadow VMCS, or all ones"
    GUEST_IA32_DEBUGCTL = 0x2802, "guest IA32_DEBUGCTL"
    GUEST_IA32_PAT = 0x2804, "guest IA32_PAT"
    GUEST_IA32_EFER = 0x2806, "guest IA32_EFER"
    GUEST_IA32_PERF_GLOBAL_CTRL = 0x2808, "guest IA32_PERF_GLOBAL_CTRL"
    GUEST_PDPTE0 = 0x280A, "guest's PAE page-directory pointer 0, under EPT"
    GUEST_PDPTE1 = 0x280C, "guest's PAE page-directory pointer 1, under EPT"
    GUEST_PDPTE2 = 0x280E, "guest's PAE page-directory pointer 2, under EPT"
    GUEST_PDPTE3 = 0x2810, "guest's PAE page-directory pointer 3, under EPT"
    GUEST_IA32_BNDCFGS = 0x2812, "guest IA32_BNDCFGS"
    GUEST_IA32_RTIT_CTL = 0x2814, "guest IA32_RTIT_CTL"
    GUEST_IA32_LBR_CTL = 0x2816, "guest IA32_LBR_CTL"
    GUEST_IA32_PKRS = 0x2818, "guest IA32_PKRS"
    GUEST_IA32_FRED_CONFIG = 0x281A, "guest IA32_FRED_CONFIG"
    GUEST_IA32_FRED_RSP1 = 0x281C, "guest IA32_FRED_RSP1"
    GUEST_IA32_FRED_RSP2 = 0x281E, "guest IA32_FRED_RSP2"
    GUEST_IA32_FRED_RSP3 = 0x2820, "guest IA32_FRED_RSP3"
    GUEST_IA32_FRED_STKLVLS = 0x2822, "guest IA32_FRED_STKLVLS"
    GUEST_IA32_FRED_SSP1 = 0x2824, "guest IA32_FRED_SSP1"
    GUEST_IA32_FRED_SSP2 = 0x2826, "guest IA32_FRED_SSP2"
    GUEST_IA32_FRED_SSP3 = 0x2828, "guest IA32_FRED_SSP3"
    GUEST_IA32_SPEC_CTRL = 0x282E, "guest IA32_SPEC_CTRL"
    GUEST_DEADLINE = 0x2830, "deadline of the virtualized APIC timer on the processor's clock"

    # B.2.4 64-bit host-state fields
    HOST_IA32_PAT = 0x2C00, "IA32_PAT that a VM exit loads"
    HOST_IA32_EFER = 0x2C02, "IA32_EFER that a VM exit loads"
    HOST_IA32_PERF_GLOBAL_CTRL = 0x2C04, "IA32_PERF_GLOBAL_CTRL that a VM exit loads"
    HOST_IA32_PKRS = 0x2C06, "IA32_PKRS that a VM exit loads"
    HOST_IA32_FRED_CONFIG = 0x2C08, "IA32_FRED_CONFIG that a VM exit loads"
    HOST_IA32_FRED_RSP1 = 0x2C0A, "IA32_FRED_RSP1 that a VM exit loads"
    HOST_IA32_FRED_RSP2 = 0x2C0C, "IA32_FRED_RSP2 that a VM exit loads"
    HOST_IA32_FRED_RSP3 = 0x2C0E, "IA32_FRED_RSP3 that a VM exit loads"
    HOST_IA32_FRED_STKLVLS = 0x2C10, "IA32_FRED_STKLVLS that a VM exit loads"
    HOST_IA32_FRED_SSP1 = 0x2C12, "IA32_FRED_SSP1 that a VM exit loads"
    HOST_IA32_FRED_SSP2 = 0x2C14, "IA32_FRED_SSP2 that a VM exit loads"
    HOST_IA32_FRED_SSP3 = 0x2C16, "IA32_FRED_SSP3 that a VM exit loads"
    HOST_IA32_SPEC_CTRL = 0x2C1A, "IA32_SPEC_CTRL that a VM exit loads"

    # B.3.1 32-bit control fields
    PIN_BASED_VM_EXECUTION_CONTROLS = 0x4000, "which outside events exit"
    PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS = 0x4002, "which instructions exit, first vector"
    EXCEPTION_BITMAP = 0x4004, "bit n: exception n exits"
    PAGE_FAULT_ERROR_CODE_MASK = 0x4006, "bits of a page fault's error code that are compared"
    PAGE_FAULT_ERROR_CODE_MATCH = 0x4008, "what they are compared with to decide whether bit 14 of the bitmap is meant"
    CR3_TARGET_COUNT = 0x400A, "how many CR3-target values count"
    PRIMARY_VM_EXIT_CONTROLS = 0x400C, "what a VM exit does"
    VM_EXIT_MSR_STORE_COUNT = 0x400E, "entries of the list of MSRs that a VM exit stores"
    VM_EXIT_MSR_LOAD_COUNT = 0x4010, "entries of the list of MSRs that a VM exit loads"
    VM_ENTRY_CONTROLS = 0x4012, "what VM entry does"
    VM_ENTRY_MSR_LOAD_COUNT = 0x4014, "entries of the list of MSRs that VM entry loads"
    VM_ENTRY_INTERRUPTION_INFORMATION = 0x4016, "event to inject; every VM exit clears its valid bit"
    VM_ENTRY_EXCEPTION_ERROR_CODE = 0x4018, "error code of the injected event"
    VM_ENTRY_INSTRUCTION_LENGTH = 0x401A, "bytes by which RIP advances before the injected event is delivered"
    TPR_THRESHOLD = 0x401C, "the guest's task priority below which it exits"
    SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS = 0x401E, "which instructions exit, second vector"
    PLE_GAP = 0x4020, "most TSC ticks between two PAUSEs of one loop"
    PLE_WINDOW = 0x4022, "most TSC ticks of a PAUSE loop before it exits"
    INSTRUCTION_TIMEOUT_CONTROL = 0x4024, "longest time without an instruction boundary, in crystal-clock ticks"
    SEAM_GUEST_KEYID = 0x4026, "SEAM: key of the guest's private memory"

    # B.3.2 32-bit read-only data fields
    VM_INSTRUCTION_ERROR = 0x4400, "why the last VMX instruction failed"
    EXIT_REASON = 0x4402, "why the guest exited, or why VM entry failed"
    VM_EXIT_INTERRUPTION_INFORMATION = 0x4404, "event that caused the exit"
    VM_EXIT_INTERRUPTION_ERROR_CODE = 0x4406, "its error code"
    IDT_VECTORING_INFORMATION = 0x4408, "event whose delivery the exit interrupted; inject it again or it is lost"
    IDT_VECTORING_ERROR_CODE = 0x440A, "its error code"
    VM_EXIT_INSTRUCTION_LENGTH = 0x440C, "bytes of the instruction that exited"
    VM_EXIT_INSTRUCTION_INFORMATION = 0x440E, "operands of the instruction that exited"

    # B.3.3 32-bit guest-state fields
    GUEST_ES_LIMIT = 0x4800, "guest ES, limit"
    GUEST_CS_LIMIT = 0x4802, "guest CS, limit"
    GUEST_SS_LIMIT = 0x4804, "guest SS, limit"
    GUEST_DS_LIMIT = 0x4806, "guest DS, limit"
    GUEST_FS_LIMIT = 0x4808, "guest FS, limit"
    GUEST_GS_LIMIT = 0x480A, "guest GS, limit"
    GUEST_LDTR_LIMIT = 0x480C, "guest LDTR, limit"
    GUEST_TR_LIMIT = 0x480E, "guest TR, limit"
    GUEST_GDTR_LIMIT = 0x4810, "guest GDTR, limit"
    GUEST_IDTR_LIMIT = 0x4812, "guest IDTR, limit"
    GUEST_ES_ACCESS_RIGHTS = 0x4814, "guest ES, access rights"
    GUEST_CS_ACCESS_RIGHTS = 0x4816, "guest CS, access rights"
    GUEST_SS_ACCESS_RIGHTS = 0x4818, "guest SS, access rights; its DPL is the guest's CPL"
    GUEST_DS_ACCESS_RIGHTS = 0x481A, "guest DS, access rights"
    GUEST_FS_ACCESS_RIGHTS = 0x481C, "guest FS, access rights"
    GUEST_GS_ACCESS_RIGHTS = 0x481E, "guest GS, access rights"
    GUEST_LDTR_ACCESS_RIGHTS = 0x4820, "guest LDTR, access rights"
    GUEST_TR_ACCESS_RIGHTS = 0x4822, "guest TR, access rights; always a busy TSS"
    GUEST_INTERRUPTIBILITY_STATE = 0x4824, "what is blocked for the moment: by STI, by MOV SS, SMI, NMI"
    GUEST_ACTIVITY_STATE = 0x4826, "0 active, 1 HLT, 2 shutdown, 3 wait for SIPI"
    GUEST_SMBASE = 0x4828, "guest SMBASE"
    GUEST_IA32_SYSENTER_CS = 0x482A, "guest IA32_SYSENTER_CS"
    VMX_PREEMPTION_TIMER_VALUE = 0x482E, "ticks until the preemption timer exits"

    # B.3.4 32-bit host-state field
    HOST_IA32_SYSENTER_CS = 0x4C00, "IA32_SYSENTER_CS that a VM exit loads"

    # B.4.1 natural-width control fields
    CR0_GUEST_HOST_MASK = 0x6000, "bits of CR0 that the host owns"
    CR4_GUEST_HOST_MASK = 0x6002, "bits of CR4 that the host owns"
    CR0_READ_SHADOW = 0x6004, "what the guest reads in the bits of CR0 that the host owns"
    CR4_READ_SHADOW = 0x6006, "what the guest reads in the bits of CR4 that the host owns"
    CR3_TARGET_VALUE_0 = 0x6008, "value that the guest may load into CR3 without exit"
    CR3_TARGET_VALUE_1 = 0x600A, "second value that the guest may load into CR3 without exit"
    CR3_TARGET_VALUE_2 = 0x600C, "third value that the guest may load into CR3 without exit"
    CR3_TARGET_VALUE_3 = 0x600E, "fourth value that the guest may load into CR3 without exit"

    # B.4.2 natural-width read-only data fields
    EXIT_QUALIFICATION = 0x6400, "details of the exit; the format depends on the reason"
    IO_RCX = 0x6402, "RCX before the I/O instruction that an SMI followed"
    IO_RSI = 0x6404, "RSI before the I/O instruction that an SMI followed"
    IO_RDI = 0x6406, "RDI before the I/O instruction that an SMI followed"
    IO_RIP = 0x6408, "RIP of the I/O instruction that an SMI followed"
    GUEST_LINEAR_ADDRESS = 0x640A, "linear address of the access that exited"

    # B.4.3 natural-width guest-state fields
    GUEST_CR0 = 0x6800, "guest CR0"
    GUEST_CR3 = 0x6802, "guest CR3"
    GUEST_CR4 = 0x6804, "guest CR4"
    GUEST_ES_BASE = 0x6806, "guest ES, base"
    GUEST_CS_BASE = 0x6808, "guest CS, base"
    GUEST_SS_BASE = 0x680A, "guest SS, base"
    GUEST_DS_BASE = 0x680C, "guest DS, base"
    GUEST_FS_BASE = 0x680E, "guest FS, base"
    GUEST_GS_BASE = 0x6810, "guest GS, base"
    GUEST_LDTR_BASE = 0x6812, "guest LDTR, base"
    GUEST_TR_BASE = 0x6814, "guest TR, base"
    GUEST_GDTR_BASE = 0x6816, "guest GDTR, base"
    GUEST_IDTR_BASE = 0x6818, "guest IDTR, base"
    GUEST_DR7 = 0x681A, "guest DR7"
    GUEST_RSP = 0x681C, "guest RSP"
    GUEST_RIP = 0x681E, "guest RIP"
    GUEST_RFLAGS = 0x6820, "guest RFLAGS"
    GUEST_PENDING_DEBUG_EXCEPTIONS = 0x6822, "debug exceptions that are recognized but not delivered yet"
    GUEST_IA32_SYSENTER_ESP = 0x6824, "guest IA32_SYSENTER_ESP"
    GUEST_IA32_SYSENTER_EIP = 0x6826, "guest IA32_SYSENTER_EIP"
    GUEST_IA32_S_CET = 0x6828, "guest IA32_S_CET"
    GUEST_SSP = 0x682A, "guest shadow-stack pointer"
    GUEST_IA32_INTERRUPT_SSP_TABLE_ADDR = 0x682C, "guest IA32_INTERRUPT_SSP_TABLE_ADDR"

    # B.4.4 natural-width host-state fields
    HOST_CR0 = 0x6C00, "CR0 that a VM exit loads"
    HOST_CR3 = 0x6C02, "CR3 that a VM exit loads"
    HOST_CR4 = 0x6C04, "CR4 that a VM exit loads"
    HOST_FS_BASE = 0x6C06, "FS base that a VM exit loads"
    HOST_GS_BASE = 0x6C08, "GS base that a VM exit loads"
    HOST_TR_BASE = 0x6C0A, "TR base that a VM exit loads"
    HOST_GDTR_BASE = 0x6C0C, "GDTR base that a VM exit loads; its limit becomes FFFF"
    HOST_IDTR_BASE = 0x6C0E, "IDTR base that a VM exit loads; its limit becomes FFFF"
    HOST_IA32_SYSENTER_ESP = 0x6C10, "IA32_SYSENTER_ESP that a VM exit loads"
    HOST_IA32_SYSENTER_EIP = 0x6C12, "IA32_SYSENTER_EIP that a VM exit loads"
    HOST_RSP = 0x6C14, "RSP that a VM exit loads"
    HOST_RIP = 0x6C16, "where a VM exit continues"
    HOST_IA32_S_CET = 0x6C18, "IA32_S_CET that a VM exit loads"
    HOST_SSP = 0x6C1A, "shadow-stack pointer that a VM exit loads"
    HOST_IA32_INTERRUPT_SSP_TABLE_ADDR = 0x6C1C, "IA32_INTERRUPT_SSP_TABLE_ADDR that a VM exit loads"

    @cached_property
    def width(self) -> Width:
        """Size of the value."""
        return Width(self >> 13 & 3)

    @cached_property
    def kind(self) -> Kind:
        """Which area of the VMCS the field is in."""
        return Kind(self >> 10 & 3)

    @property
    def index(self) -> int:
        """Number among the fields of the same width and kind (bits 9:1); the tables leave gaps."""
        return self >> 1 & 0x1FF

    @property
    def bits(self) -> int:
        """Size of the value in bits on a processor with Intel 64."""
        return self.width.bits

    @property
    def has_high_half(self) -> bool:
        """True where encoding + 1 names bits 63:32 of the field."""
        return self.width is Width.W64

    @property
    def read_only(self) -> bool:
        """VMWRITE fails (error 13) on processors whose IA32_VMX_MISC bit 29 is 0."""
        return self.kind is Kind.EXIT_INFORMATION


HIGH = 1
"""Bit 0 of an encoding: bits 63:32 of a 64-bit field."""

SLOTS: tuple[VmcsField, ...] = tuple(VmcsField)
"""The fields by slot."""
