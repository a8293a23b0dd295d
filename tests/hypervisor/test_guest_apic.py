"""A guest's local APIC and I/O APIC, behind windows on the machine's bus, under both ways of paging."""

from __future__ import annotations

import pytest

from tests.hypervisor.guests import HANDLER, MIB, TABLES, image_of
from vmxon.errors import GuestStopped
from vmxon.hypervisor.hypervisor import Guest, Hypervisor
from vmxon.hypervisor.memory.virtual_memory import PagingMode

MASK_8259 = "mov al, 0xFF \n out 0x21, al \n"


def run(text: str, paging: PagingMode = PagingMode.EPT) -> Guest:
    """Assemble, and run to status 0."""
    guest = Hypervisor(memory=16 * MIB).create(2 * MIB, paging=paging)
    guest.load(image_of(MASK_8259 + text))
    assert guest.run(20) == 0
    assert guest.hypervisor.leaks() == []
    return guest


@pytest.mark.parametrize("paging", PagingMode)
def test_registers_of_the_page(paging: PagingMode) -> None:
    run(
        """
        mov eax, [0xFEE00030]
        cmp eax, 0x1050014
        jne bad
        mov dword ptr [0xFEE00080], 0x20
        cmp dword ptr [0xFEE00080], 0x20
        jne bad
        mov dword ptr [0xFEC00000], 1
        cmp dword ptr [0xFEC00010], 0x170020
        jne bad
        cmp dword ptr [0xFED00000], -1
        jne bad
        jmp good
        """,
        paging,
    )


@pytest.mark.parametrize("paging", PagingMode)
def test_an_interrupt_to_itself_comes_at_once(paging: PagingMode) -> None:
    run(
        HANDLER.format(vector=0x41)
        + """
        sti
        mov dword ptr [0xFEE00300], 0x4041
        nop
        nop
        jmp bad
        caught:
        mov dword ptr [0xFEE000B0], 0
        cmp dword ptr [0xFEE00120], 0
        jne bad
        jmp good
        """
        + TABLES,
        paging,
    )


@pytest.mark.parametrize("paging", PagingMode)
def test_the_timer_ends_a_halt_and_an_endless_loop(paging: PagingMode) -> None:
    run(
        HANDLER.format(vector=0x42)
        + """
        mov dword ptr [0xFEE00320], 0x42
        mov dword ptr [0xFEE003E0], 0xB
        mov dword ptr [0xFEE00380], 100000
        sti
        hlt
        cmp edi, 1
        jne bad
        mov dword ptr [0xFEE00380], 100000
        spin: jmp spin
        caught:
        inc edi
        mov dword ptr [0xFEE000B0], 0
        cmp edi, 2
        je good
        iretd
        """
        + TABLES,
        paging,
    )


def test_a_line_of_the_io_apic() -> None:
    """The timer's line, 2, as vector 0x43, the 8259 masked."""
    run(
        HANDLER.format(vector=0x43)
        + """
        mov dword ptr [0xFEC00000], 0x14
        mov dword ptr [0xFEC00010], 0x43
        sti
        wait: hlt
        jmp wait
        caught: jmp good
        """
        + TABLES
    )


LONG = """
    mov dword ptr [0x40000], 0x41007
    mov dword ptr [0x41000], 0x83
    mov dword ptr [0x41018], 0xC0000083
    mov eax, 0x20
    mov cr4, eax
    mov eax, 0x40000
    mov cr3, eax
    mov ecx, 0xC0000080
    mov eax, 0x100
    xor edx, edx
    wrmsr
    mov eax, 0x80000011
    mov cr0, eax
    lgdt [pointer]
    push 8
    mov eax, offset long
    push eax
    retf
    .balign 8
    pointer: .word 15
    .long gdt
    .balign 8
    gdt: .quad 0, 0x00AF9B000000FFFF
    .code64
    long:
"""


@pytest.mark.parametrize("paging", PagingMode)
def test_cr8_is_the_task_priority(paging: PagingMode) -> None:
    run(
        LONG
        + """
        mov eax, 7
        mov cr8, rax
        mov ebx, 0xFEE00080
        cmp dword ptr [rbx], 0x70
        jne bad
        mov dword ptr [rbx], 0x35
        mov rsp, 0x80000
        mov rsp, cr8
        cmp rsp, 3
        jne bad
        jmp good
        """,
        paging,
    )


def test_a_guest_with_interrupts_masked_everywhere_does_not_wait_for_ever() -> None:
    guest = Hypervisor(memory=16 * MIB).create(2 * MIB)
    guest.load(image_of("mov al, 0xFF \n out 0x21, al \n sti \n hlt"))
    with pytest.raises(GuestStopped, match="the guest halted and no device will wake it"):
        guest.run(20)
