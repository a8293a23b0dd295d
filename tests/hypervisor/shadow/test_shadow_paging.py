"""Shadow paging beside EPT: equal guests, equal memory, nothing leaks."""

import pytest

from tests.hypervisor.guests import EPILOGUE, HANDLER, MIB, PROLOGUE, TABLES
from vmxon.arch.models import MODELS
from vmxon.errors import ConfigurationError, TimedOut
from vmxon.hypervisor.guest import bundled_guest
from vmxon.hypervisor.memory.isolation import find_leaks
from vmxon.hypervisor.memory.virtual_memory import PagingMode
from vmxon.hypervisor.shadow.paging import ShadowPaging
from vmxon.hypervisor.virtual_machine import VirtualMachine
from vmxon.machine.assembler import assemble
from vmxon.machine.loader import load_multiboot

# 32-bit paging: directory at 0x40000, table at 0x41000; 4 MiB pages for the identity, 4 KiB pages from 0x80000000 on.
LEGACY = """
    mov dword ptr [0x40000], 0x83
    mov dword ptr [0x40800], 0x41007
    mov dword ptr [0x41000], 0x50003
    mov eax, 0x10
    mov cr4, eax
    mov eax, 0x40000
    mov cr3, eax
    mov eax, cr0
    or eax, 0x80010000
    mov cr0, eax
"""
def machine(code: bytes, paging: PagingMode, model: str = "max", memory: int = 4 * MIB) -> VirtualMachine:
    guest = VirtualMachine(MODELS[model], memory, serial=lambda _: None, debug_console=lambda _: None, paging=paging)
    guest.load(load_multiboot(code, "guest", memory))
    return guest


def run(text: str, model: str = "max") -> VirtualMachine:
    """A guest under shadow paging that must end well, and whose shadow tables lead only to itself."""
    guest = machine(assemble(PROLOGUE + text + EPILOGUE, 64, 0x10_0000), PagingMode.SHADOW, model)
    assert guest.run(20) == 0
    assert find_leaks(guest.memory, guest.paging) == []
    return guest


@pytest.mark.parametrize("model", ["first", "nehalem", "max"])
def test_memory_is_equal_at_the_end(model: str) -> None:
    ept, shadow = machine(bundled_guest(), PagingMode.EPT, memory=8 * MIB), machine(bundled_guest(), PagingMode.SHADOW, model, 8 * MIB)
    assert (ept.run(20), shadow.run(20)) == (0, 0)
    # Between other models, all but the BIOS's areas, whose tables name the processor.
    parts = (slice(None),) if model == "max" else (slice(0x9_FC00), slice(0x10_0000, None))
    assert [bytes(ept.memory.view[part]) for part in parts] == [bytes(shadow.memory.view[part]) for part in parts]
    assert find_leaks(ept.memory, ept.paging) == find_leaks(shadow.memory, shadow.paging) == []


@pytest.mark.parametrize("model", MODELS)
def test_32_bit_paging_with_accessed_and_dirty_bits(model: str) -> None:
    run(
        LEGACY
        + """
        cmp dword ptr [0x80000000], 0
        mov eax, [0x41000]
        and eax, 0x60
        cmp eax, 0x20
        jne bad
        mov dword ptr [0x80000000], 7
        cmp dword ptr [0x50000], 7
        jne bad
        test dword ptr [0x41000], 0x40
        jz bad
        """,
        model,
    )


def test_invlpg_makes_a_changed_entry_count() -> None:
    run(
        LEGACY
        + """
        mov dword ptr [0x50000], 5
        mov dword ptr [0x51000], 6
        cmp dword ptr [0x80000000], 5
        jne bad
        mov dword ptr [0x41000], 0x51003
        invlpg [0x80000000]
        cmp dword ptr [0x80000000], 6
        jne bad
        mov dword ptr [0x41000], 0x50003
        mov eax, cr3
        cmp eax, 0x40000
        jne bad
        mov cr3, eax
        cmp dword ptr [0x80000000], 5
        jne bad
        """
    )


def test_the_guest_gets_its_own_page_faults() -> None:
    run(
        HANDLER.format(vector=14)
        + LEGACY
        + """
        mov dword ptr [0x41000], 0x50001
        mov dword ptr [0x80000000], 1
        jmp bad
        caught:
        cmp dword ptr [esp], 3
        jne bad
        mov eax, cr2
        cmp eax, 0x80000000
        jne bad
        jmp good
        """
        + TABLES
    )


def test_without_wp_the_supervisor_writes_to_read_only_pages() -> None:
    run(
        LEGACY.replace("0x80010000", "0x80000000")
        + """
        mov dword ptr [0x41000], 0x50005
        mov eax, [0x80000000]
        mov dword ptr [0x80000000], 9
        cmp dword ptr [0x50000], 9
        jne bad
        mov eax, cr0
        test eax, 0x10000
        jnz bad
        """
    )


def test_pae_paging() -> None:
    run(
        """
        mov dword ptr [0x40000], 0x41001
        mov dword ptr [0x41000], 0x83
        mov dword ptr [0x41008], 0x42003
        mov dword ptr [0x42000], 0x50003
        mov eax, 0x20
        mov cr4, eax
        mov eax, 0x40000
        mov cr3, eax
        mov eax, cr0
        or eax, 0x80000000
        mov cr0, eax
        mov dword ptr [0x200000], 3
        cmp dword ptr [0x50000], 3
        jne bad
        """
    )


def test_real_mode_is_refused_in_one_line() -> None:
    guest = machine(assemble(PROLOGUE + "mov eax, 0x10 \n mov cr0, eax" + EPILOGUE, 64, 0x10_0000), PagingMode.SHADOW)
    with pytest.raises(ConfigurationError, match="the guest enters real mode, which shadow paging cannot run"):
        guest.run(5)


@pytest.mark.parametrize("model", MODELS)
def test_a_loop_with_interrupts_off_loses_the_processor(model: str) -> None:
    guest = machine(assemble(PROLOGUE + "cli \n again: jmp again" + EPILOGUE, 64, 0x10_0000), PagingMode.SHADOW, model)
    with pytest.raises(TimedOut):
        guest.run(0.2)


def test_shadow_tables_are_a_cache_that_may_be_given_up() -> None:
    guest = machine(bundled_guest(), PagingMode.SHADOW, memory=8 * MIB)
    while guest.pages.free > 8:
        guest.pages.allocate()
    assert guest.run(20) == 0
    assert find_leaks(guest.memory, guest.paging) == []


def test_the_checker_finds_a_foreign_frame() -> None:
    guest = machine(bundled_guest(), PagingMode.SHADOW, memory=8 * MIB)
    assert guest.run(20) == 0
    assert isinstance(guest.paging, ShadowPaging)
    table = next(table for table in guest.paging.shadow.by_source.values() if table.source.level == 1)
    guest.paging.shadow.store(table, 511, guest.memory.base - 4096 | 1)
    (leak,) = find_leaks(guest.memory, guest.paging)
    assert leak.why == "maps memory that is not the guest's"
