"""A guest that resets its machine starts over: registers, control registers, MSRs and devices are those of the first start."""

import pytest

from tests.hypervisor.guests import MIB, image_of
from vmxon.hypervisor.hypervisor import Hypervisor
from vmxon.hypervisor.memory.virtual_memory import PagingMode

# Each start checks that everything is as at the first, dirties it, and resets in another way; the third ends well.
STARTS = """
    cmp edi, 0
    jne bad
    mov eax, cr0
    test eax, 0x80000000
    jnz bad
    mov eax, cr4
    test eax, eax
    jnz bad
    mov eax, cr2
    test eax, eax
    jnz bad
    mov ecx, 0xC0000080
    rdmsr
    test eax, eax
    jnz bad
    mov ecx, 0xC0000082
    rdmsr
    test eax, eax
    jnz bad
    mov eax, dr0
    test eax, eax
    jnz bad
    in al, 0x21
    mov bl, al
    mov al, 0x5A
    out 0x21, al
    cmp bl, 0x5A
    je bad
    inc dword ptr [0x180000]
    cmp dword ptr [0x180000], 3
    je good
    mov eax, 0x1234000
    mov cr2, eax
    mov dr0, eax
    mov ecx, 0xC0000082
    xor edx, edx
    wrmsr
    mov dword ptr [0x40000], 0x83
    mov eax, 0x10
    mov cr4, eax
    mov eax, 0x40000
    mov cr3, eax
    mov ecx, 0xC0000080
    mov eax, 1
    wrmsr
    mov eax, cr0
    or eax, 0x80010000
    mov cr0, eax
    mov edi, 7
    cmp dword ptr [0x180000], 2
    je by_port
    mov al, 0xFE
    out 0x64, al
by_port:
    mov edx, 0xCF9
    mov al, 6
    out dx, al
    jmp bad
"""


@pytest.mark.parametrize("paging", PagingMode)
def test_a_guest_starts_over(paging: PagingMode) -> None:
    guest = Hypervisor(memory=16 * MIB).create(4 * MIB, paging=paging)
    guest.load(image_of(STARTS))
    assert guest.run(20) == 0
    assert guest.memory.read(0x18_0000, 4) == b"\3\0\0\0"


@pytest.mark.parametrize("paging", PagingMode)
def test_without_reboot_a_reset_is_the_end(paging: PagingMode) -> None:
    guest = Hypervisor(memory=16 * MIB).create(4 * MIB, paging=paging)
    guest.machine.no_reboot = True
    guest.load(image_of(STARTS))
    assert guest.run(20) == 0
    assert guest.memory.read(0x18_0000, 4) == b"\1\0\0\0"


def test_a_guest_that_is_closed_gives_back_every_frame_and_its_vpid() -> None:
    hypervisor = Hypervisor(memory=16 * MIB)
    free = hypervisor.host.pages.free
    vpids = set()
    for paging in (*PagingMode, *PagingMode):
        guest = hypervisor.create(4 * MIB, paging=paging)
        guest.load(image_of(STARTS))
        assert guest.run(20) == 0
        vpids.add(guest.machine.vpid)
        guest.close()
        assert hypervisor.host.pages.free == free
    assert vpids == {1}
