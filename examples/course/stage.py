"""What the later steps start from; steps 1 to 8 show how each part of it comes about."""

from __future__ import annotations

from vmxon.hypervisor.memory.arch_memory import ArchMemory
from vmxon.hypervisor.memory.page_manager import PageManager
from vmxon.hypervisor.operation.bring_up import enter_vmx_operation, value_of
from vmxon.hypervisor.operation.vmcs import adjusted, new_bitmaps, new_vmcs, write_controls, write_guest_state, write_host_state
from vmxon.machine.assembler import assemble
from vmxon.machine.outcome import Exited, Explained, Outcome
from vmxon.machine.root import RootProcessor, bare_processor
from vmxon.vmx.controls import Entry, PinBased, PrimaryProcessorBased
from vmxon.vmx.fields import VmcsField as Field

MEMORY = 8 << 20
LONG_MODE_CODE = 0xA09B
"""Access rights of a 64-bit code segment."""
LME_LMA = 0x500
CODE = 0x1000
"""Where the code of a guest under EPT is."""


def vmx_operation() -> tuple[RootProcessor, PageManager]:
    """A processor in VMX root operation and the frames that are free (steps 1 to 3)."""
    root = bare_processor(MEMORY)
    pages = PageManager(MEMORY, root.free)
    enter_vmx_operation(root, pages)
    return root, pages


def small_guest(root: RootProcessor, pages: PageManager, text: str, **primary: int) -> int:
    """A VMCS, current and ready for VMLAUNCH: 64-bit code that uses the host's page tables, no EPT; where its code is."""
    new_vmcs(root, pages)
    write_controls(root, new_bitmaps(root, pages), eptp=0)
    write_host_state(root)
    write_guest_state(root)
    code = pages.allocate()
    root.write(code, assemble(text, 64, code))
    wanted = PrimaryProcessorBased.make(hlt_exiting=1, **primary)
    root.set_fields(
        *(Field.PIN_BASED_VM_EXECUTION_CONTROLS, adjusted(root, 0x48D, PinBased, 0)),
        *(Field.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS, adjusted(root, 0x48E, PrimaryProcessorBased, wanted)),
        *(Field.VM_ENTRY_CONTROLS, adjusted(root, 0x490, Entry, Entry.make(ia32e_mode_guest=1, load_efer=1, load_pat=1))),
        *(Field.GUEST_CR0, value_of(root.read_cr(0))),
        *(Field.GUEST_CR3, value_of(root.read_cr(3))),
        *(Field.GUEST_CR4, value_of(root.read_cr(4))),
        *(Field.GUEST_IA32_EFER, LME_LMA),
        *(Field.GUEST_CS_ACCESS_RIGHTS, LONG_MODE_CODE),
        *(Field.GUEST_RIP, code),
    )
    return code


def ept_guest(root: RootProcessor, pages: PageManager, space: ArchMemory, text: str) -> None:
    """The same for flat 32-bit code without paging, under EPT; its code is at guest-physical `CODE`, and nothing else is mapped."""
    new_vmcs(root, pages)
    write_controls(root, new_bitmaps(root, pages), space.pointer)
    write_host_state(root)
    write_guest_state(root)
    (pins,) = root.fields((Field.PIN_BASED_VM_EXECUTION_CONTROLS,))
    root.set_fields(Field.PIN_BASED_VM_EXECUTION_CONTROLS, pins & ~PinBased.preemption_timer.mask, Field.GUEST_RIP, CODE)
    frame = pages.allocate()
    root.write(frame, assemble(text, 32, CODE))
    space.map_page(CODE, frame)


def ended(outcome: Outcome) -> Exited:
    """The VM exit that an entry ended in; a step that expects one stops with the outcome's own words otherwise."""
    if not isinstance(outcome, Exited):
        raise SystemExit(str(outcome))
    return outcome


def in_one_line(outcome: Outcome) -> str:
    """The outcome without the whole explanation that `print(outcome)` has for a failed entry."""
    return outcome.line if isinstance(outcome, Explained) else str(outcome)


def step_over(root: RootProcessor, exited: Exited) -> None:
    """Move the guest past the instruction that exited."""
    root.set_fields(Field.GUEST_RIP, exited.guest_rip + exited.instruction_length)
