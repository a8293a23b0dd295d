"""The VMCS of a guest: host, guest and control fields, written after VMCLEAR and VMPTRLD (Vol. 3C ch. 25)."""

from __future__ import annotations

from dataclasses import dataclass

from vmxon.arch.bits import Word
from vmxon.arch.control import Cr0
from vmxon.arch.exceptions import Vector
from vmxon.arch.msr_vmx import AllowedSettings
from vmxon.arch.segments import AccessRights
from vmxon.errors import ConfigurationError
from vmxon.hypervisor.memory.page_manager import PAGE, PageManager
from vmxon.hypervisor.operation.bring_up import new_region, require, value_of
from vmxon.hypervisor.policy.control_bits import CR0_OWNED, CR4_OWNED, CR4_PASSED
from vmxon.machine import modes
from vmxon.machine.identity import CODE, DATA, GDT, IDT, STACK_TOP, TASK, TSS
from vmxon.machine.root import PYTHON_RIP, RootProcessor
from vmxon.vmx.controls import Entry, PinBased, PrimaryExit, PrimaryProcessorBased, SecondaryProcessorBased
from vmxon.vmx.field_support import supported_fields
from vmxon.vmx.fields import VmcsField as Field

EFER = 0xC000_0080
NO_LINK = ALL = (1 << 64) - 1
LIMIT = 0xFFFF_FFFF
FLAT_CODE = modes.CODE | modes.BIG | modes.GRANULAR
FLAT_DATA = modes.DATA | modes.BIG | modes.GRANULAR
SEGMENTS = {
    "CS": (0x08, LIMIT, FLAT_CODE),
    **dict.fromkeys(("SS", "DS", "ES", "FS", "GS"), (0x10, LIMIT, FLAT_DATA)),
    "LDTR": (0, 0, AccessRights.unusable.mask),
    "TR": (0, 0x67, modes.BUSY_TSS),
}
"""Selector, limit and access rights of the guest's segments; their bases are 0."""

CONTROLS: tuple[tuple[Field, int, int, type[Word], int], ...] = (
    (
        Field.PIN_BASED_VM_EXECUTION_CONTROLS,
        0x481,
        0x48D,
        PinBased,
        PinBased.make(external_interrupt_exiting=1, nmi_exiting=1, preemption_timer=1),
    ),
    (
        Field.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS,
        0x482,
        0x48E,
        PrimaryProcessorBased,
        PrimaryProcessorBased.make(
            **dict.fromkeys(("hlt_exiting", "cr8_load_exiting", "cr8_store_exiting", "use_tsc_offsetting"), 1),
            **dict.fromkeys(("use_io_bitmaps", "use_msr_bitmaps", "rdpmc_exiting", "monitor_exiting", "mwait_exiting"), 1),
            activate_secondary=1,
        ),
    ),
    (
        Field.SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS,
        0x48B,
        0x48B,
        SecondaryProcessorBased,
        SecondaryProcessorBased.make(enable_ept=1, unrestricted_guest=1, enable_vpid=1, enable_rdtscp=1, enable_invpcid=1),
    ),
    (
        Field.PRIMARY_VM_EXIT_CONTROLS,
        0x483,
        0x48F,
        PrimaryExit,
        PrimaryExit.make(save_debug_controls=1, host_address_space_size=1, save_pat=1, load_pat=1, save_efer=1, load_efer=1),
    ),
    (
        Field.VM_ENTRY_CONTROLS,
        0x484,
        0x490,
        Entry,
        Entry.make(load_debug_controls=1, load_pat=1, load_efer=1),
    ),
)
"""Field, capability MSR, its TRUE version, layout, and the controls that this hypervisor needs."""
SHADOW_NEEDS: dict[type[Word], int] = {
    PinBased: PinBased.make(external_interrupt_exiting=1, nmi_exiting=1),
    PrimaryProcessorBased: PrimaryProcessorBased.make(
        **dict.fromkeys(("hlt_exiting", "invlpg_exiting", "cr3_load_exiting", "cr3_store_exiting"), 1),
        **dict.fromkeys(("cr8_load_exiting", "cr8_store_exiting", "use_tsc_offsetting", "use_io_bitmaps", "use_msr_bitmaps"), 1),
        **dict.fromkeys(("rdpmc_exiting", "monitor_exiting", "mwait_exiting"), 1),
    ),
    SecondaryProcessorBased: 0,
    PrimaryExit: PrimaryExit.make(save_debug_controls=1, host_address_space_size=1),
    Entry: Entry.make(load_debug_controls=1),
}
"""What shadow paging cannot do without: every VMX processor has it."""
SHADOW_LIKES: dict[type[Word], int] = {
    PinBased: PinBased.make(preemption_timer=1),
    PrimaryProcessorBased: PrimaryProcessorBased.make(activate_secondary=1),
    SecondaryProcessorBased: SecondaryProcessorBased.make(enable_vpid=1, enable_rdtscp=1),
    PrimaryExit: PrimaryExit.make(save_pat=1, load_pat=1, save_efer=1, load_efer=1),
    Entry: Entry.make(load_pat=1, load_efer=1),
}
"""What it uses where the processor has it."""


@dataclass(frozen=True, slots=True)
class Bitmaps:
    """Where the I/O and MSR bitmaps are; each is all ones: everything exits unless a policy opens it."""

    io_a: int
    io_b: int
    msr: int


def new_bitmaps(root: RootProcessor, pages: PageManager) -> Bitmaps:
    """Three pages of ones."""
    addresses = [pages.allocate() for _ in range(3)]
    for address in addresses:
        root.write(address, b"\xff" * PAGE)
    return Bitmaps(*addresses)


def new_vmcs(root: RootProcessor, pages: PageManager) -> int:
    """A region that is clear, then active and current: VMCLEAR comes before everything else (Vol. 3C §25.1)."""
    region = new_region(root, pages)
    require(root.vmclear(region))
    require(root.vmptrld(region))
    return region


def adjusted(root: RootProcessor, capability: int, layout: type[Word], wanted: int) -> int:
    """The wanted controls and those that must be 1 (Vol. 3D App. A.2).

    Raises:
        ConfigurationError: the processor does not allow one of them; the line names it.
    """
    allowed = AllowedSettings(value_of(root.rdmsr(capability)))
    missing = wanted & ~allowed.may_be_one
    if missing:
        names = [str(bits.title) for bits in layout.layout.fields if bits.mask & missing]
        what = f"the processor model {root.processor.model.name!r} has no {', '.join(f'“{name}”' for name in names)}"
        raise ConfigurationError(what, advice="choose --model max")
    return wanted | allowed.must_be_one


def fields_of(root: RootProcessor) -> frozenset[Field]:
    """The fields that the processor's VMCS has."""
    assert root.processor.model.vmx is not None  # detected in bring-up
    return frozenset(supported_fields(root.processor.model.vmx))


def set_present(root: RootProcessor, *pairs: int) -> None:
    """Set those of the fields that the processor has."""
    present = fields_of(root)
    kept = [pair for pair in zip(pairs[::2], pairs[1::2], strict=True) if pair[0] in present]
    root.set_fields(*(number for pair in kept for number in pair))


def write_shadow_controls(root: RootProcessor, bitmaps: Bitmaps, vpid: int = 1) -> None:
    """The controls of a guest without EPT and unrestricted guest; its page faults exit."""
    true, present = bool(value_of(root.rdmsr(0x480)) >> 55 & 1), fields_of(root)
    for field, plain, exact, layout, _ in CONTROLS:
        if field in present:
            capability = exact if true else plain
            liked = SHADOW_LIKES[layout] & AllowedSettings(value_of(root.rdmsr(capability))).may_be_one
            require(root.vmwrite(field, adjusted(root, capability, layout, SHADOW_NEEDS[layout] | liked)))
    _write_other_controls(root, bitmaps, 0, vpid)
    root.set_fields(Field.EXCEPTION_BITMAP, 1 << Vector.PF)


def write_controls(root: RootProcessor, bitmaps: Bitmaps, eptp: int, vpid: int = 1) -> None:
    """VM-execution, VM-exit and VM-entry controls (Vol. 3C §25.6 to §25.8)."""
    true = bool(value_of(root.rdmsr(0x480)) >> 55 & 1)
    for field, plain, exact, layout, wanted in CONTROLS:
        require(root.vmwrite(field, adjusted(root, exact if true else plain, layout, wanted)))
    _write_other_controls(root, bitmaps, eptp, vpid)


def _write_other_controls(root: RootProcessor, bitmaps: Bitmaps, eptp: int, vpid: int) -> None:
    set_present(
        root,
        *(Field.EXCEPTION_BITMAP, 0),
        *(Field.PAGE_FAULT_ERROR_CODE_MASK, 0),
        *(Field.PAGE_FAULT_ERROR_CODE_MATCH, 0),
        *(Field.IO_BITMAP_A_ADDRESS, bitmaps.io_a),
        *(Field.IO_BITMAP_B_ADDRESS, bitmaps.io_b),
        *(Field.MSR_BITMAP_ADDRESS, bitmaps.msr),
        *(Field.TSC_OFFSET, 0),
        *(Field.VPID, vpid),
        *(Field.EPTP, eptp),
        *(Field.CR3_TARGET_COUNT, 0),
        *(Field.VM_EXIT_MSR_STORE_COUNT, 0),
        *(Field.VM_EXIT_MSR_LOAD_COUNT, 0),
        *(Field.VM_ENTRY_MSR_LOAD_COUNT, 0),
        *(Field.VM_ENTRY_INTERRUPTION_INFORMATION, 0),
        *(Field.CR0_GUEST_HOST_MASK, CR0_OWNED),
        *(Field.CR4_GUEST_HOST_MASK, ALL & ~CR4_PASSED),
        *(Field.CR0_READ_SHADOW, Cr0.pe.mask | Cr0.et.mask),
        *(Field.CR4_READ_SHADOW, 0),
    )


def write_host_state(root: RootProcessor) -> None:
    """What a VM exit loads (Vol. 3C §25.5 “Host-State Area”): this very program, at PYTHON_RIP."""
    set_present(
        root,
        *(Field.HOST_CR0, value_of(root.read_cr(0))),
        *(Field.HOST_CR3, value_of(root.read_cr(3))),
        *(Field.HOST_CR4, value_of(root.read_cr(4))),
        *(Field.HOST_RIP, PYTHON_RIP),
        *(Field.HOST_RSP, STACK_TOP),
        *(Field.HOST_CS_SELECTOR, CODE),
        *(pair for name in ("ES", "SS", "DS", "FS", "GS") for pair in (Field[f"HOST_{name}_SELECTOR"], DATA)),
        *(Field.HOST_TR_SELECTOR, TASK),
        *(Field.HOST_TR_BASE, TSS),
        *(Field.HOST_FS_BASE, 0),
        *(Field.HOST_GS_BASE, 0),
        *(Field.HOST_GDTR_BASE, GDT),
        *(Field.HOST_IDTR_BASE, IDT),
        *(Field.HOST_IA32_SYSENTER_CS, 0),
        *(Field.HOST_IA32_SYSENTER_ESP, 0),
        *(Field.HOST_IA32_SYSENTER_EIP, 0),
        *(Field.HOST_IA32_EFER, value_of(root.rdmsr(EFER))),
        *(Field.HOST_IA32_PAT, modes.PAT_RESET),
    )


def write_guest_state(root: RootProcessor) -> None:
    """32-bit protected mode, flat, no paging, interrupts off: how a multiboot kernel starts (Vol. 3C §25.4)."""
    for name, (selector, limit, rights) in SEGMENTS.items():
        root.set_fields(
            *(Field[f"GUEST_{name}_SELECTOR"], selector),
            *(Field[f"GUEST_{name}_BASE"], 0),
            *(Field[f"GUEST_{name}_LIMIT"], limit),
            *(Field[f"GUEST_{name}_ACCESS_RIGHTS"], rights),
        )
    set_present(
        root,
        *(Field.GUEST_CR0, Cr0.pe.mask | Cr0.et.mask | CR0_OWNED),
        *(Field.GUEST_CR3, 0),
        *(Field.GUEST_CR4, CR4_OWNED),
        *(Field.GUEST_DR7, 0x400),
        *(Field.GUEST_RSP, 0),
        *(Field.GUEST_RIP, 0),
        *(Field.GUEST_RFLAGS, 2),
        *(Field.GUEST_GDTR_BASE, 0),
        *(Field.GUEST_GDTR_LIMIT, 0xFFFF),
        *(Field.GUEST_IDTR_BASE, 0),
        *(Field.GUEST_IDTR_LIMIT, 0xFFFF),
        *(Field.GUEST_IA32_DEBUGCTL, 0),
        *(Field.GUEST_IA32_PAT, modes.PAT_RESET),
        *(Field.GUEST_IA32_EFER, 0),
        *(Field.GUEST_IA32_SYSENTER_CS, 0),
        *(Field.GUEST_IA32_SYSENTER_ESP, 0),
        *(Field.GUEST_IA32_SYSENTER_EIP, 0),
        *(Field.GUEST_INTERRUPTIBILITY_STATE, 0),
        *(Field.GUEST_ACTIVITY_STATE, 0),
        *(Field.GUEST_PENDING_DEBUG_EXCEPTIONS, 0),
        *(Field.VMCS_LINK_POINTER, NO_LINK),
    )
