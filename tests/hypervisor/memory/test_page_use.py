"""Working set and dirty log: flags and log entries that the processor writes, on pages that the hypervisor splits."""

from __future__ import annotations

import pytest

from tests.hypervisor.guests import MIB, image_of
from vmxon.errors import ConfigurationError
from vmxon.hypervisor.hypervisor import Guest, Hypervisor
from vmxon.hypervisor.memory.arch_memory import HUGE, LARGE, ArchMemory, Mapping
from vmxon.hypervisor.memory.guest_memory import GuestMemory
from vmxon.hypervisor.memory.page_manager import PAGE, PageManager
from vmxon.hypervisor.memory.page_use import PageUse
from vmxon.machine.root import bare_processor
from vmxon.vmx.exit_reasons import ExitReason

TOUCH = """
    mov ecx, {count}
    mov esi, {start}
    again: {access}
    add esi, 4096
    loop again
    jmp good
"""


def guest_of(text: str, memory: int = 8 * MIB, model: str = "max") -> Guest:
    guest = Hypervisor(memory=memory + 8 * MIB, model=model).create(memory)
    guest.load(image_of(text))
    return guest


def pages(start: int, count: int) -> set[int]:
    return set(range(start, start + count * PAGE, PAGE))


def test_the_working_set_holds_what_was_read_or_written() -> None:
    guest = guest_of(TOUCH.format(count=3, start=0x30_0000, access="mov eax, [esi]"))
    guest.page_use.accessed()
    assert guest.run(20) == 0
    assert guest.page_use.accessed() == {0x10_0000, *pages(0x30_0000, 3)}
    assert guest.page_use.accessed() == frozenset()
    assert guest.hypervisor.leaks() == []


def test_the_log_overflows_and_loses_nothing() -> None:
    guest = guest_of(TOUCH.format(count=1400, start=0x20_0000, access="mov [esi], eax"))
    guest.page_use.start_log()
    assert guest.run(20) == 0
    assert guest.page_use.changed() == pages(0x20_0000, 1400)
    assert guest.machine.accounting.counts[ExitReason.PML_FULL] == 2
    assert guest.page_use.changed() == frozenset()


def test_reads_are_not_logged_and_a_device_is() -> None:
    guest = guest_of(TOUCH.format(count=3, start=0x30_0000, access="mov eax, [esi]"))
    guest.page_use.start_log()
    guest.memory.write(0x40_0FFE, b"abcd")
    assert guest.run(20) == 0
    assert guest.page_use.changed() == {0x40_0000, 0x40_1000}


def test_a_page_is_logged_anew_after_each_look() -> None:
    guest = guest_of("mov [0x300000], eax \n out 0xEF, al \n mov [0x300000], eax \n jmp good")
    seen: list[frozenset[int]] = []
    guest.hooks.port(0xEF, write=lambda size, value: seen.append(guest.page_use.changed()))
    guest.page_use.start_log()
    assert guest.run(20) == 0
    assert (seen, guest.page_use.changed()) == ([{0x30_0000}], {0x30_0000})


def test_logging_ends_and_goes_on_after_a_reset() -> None:
    guest = guest_of("cmp dword ptr [0x300000], 1 \n je good \n mov dword ptr [0x300000], 1 \n mov al, 0xFE \n out 0x64, al \n hlt")
    guest.page_use.start_log()
    assert guest.run(20) == 0
    assert 0x30_0000 in guest.page_use.changed()
    guest.page_use.stop_log()
    with pytest.raises(ValueError, match="changes are not logged"):
        guest.page_use.changed()
    free = guest.hypervisor.host.pages.free
    guest.page_use.start_log()
    guest.close()
    assert guest.hypervisor.host.pages.free > free


def test_a_processor_without_flags() -> None:
    root = bare_processor(16 * MIB, model="nehalem")
    frames = PageManager(16 * MIB, root.free)
    use = PageUse(root, GuestMemory(root, frames, 2 * MIB, 1 << 36), frames)
    with pytest.raises(ConfigurationError, match="keeps no accessed and dirty flags in EPT"):
        use.accessed()
    with pytest.raises(ConfigurationError, match="has no page-modification log"):
        use.start_log()


def test_shadow_paging_has_none() -> None:
    guest = Hypervisor(memory=16 * MIB).create(4 * MIB, paging="shadow")
    with pytest.raises(ConfigurationError, match="shadow paging keeps no flags"):
        _ = guest.page_use


@pytest.mark.parametrize("size", [PAGE, LARGE, HUGE])
def test_pages_of_every_size(size: int) -> None:
    root = bare_processor(16 * MIB)
    space = ArchMemory(root, PageManager(16 * MIB, root.free))
    space.map_page(3 * size, 7 * size, size, write=False)
    assert space.lookup(3 * size + 5) == Mapping(3 * size, 7 * size, size, 0b101)
    assert list(space.leaves()) == [Mapping(3 * size, 7 * size, size, 0b101)]
    if size > PAGE:
        space.split(3 * size)
        part = size // 512
        assert list(space.leaves()) == [Mapping(3 * size + n * part, 7 * size + n * part, part, 0b101) for n in range(512)]
    else:
        with pytest.raises(ValueError, match="is in no large page"):
            space.split(3 * size)


def test_memory_of_a_gibibyte_is_mapped_in_one_page() -> None:
    guest = Hypervisor(memory=3 << 30).create(1 << 30)
    guest.load(image_of("mov dword ptr [0x3FFFFFF0], 7 \n cmp dword ptr [0x3FFFFFF0], 7 \n jne bad \n jmp good"))
    assert guest.run(20) == 0
    assert [(leaf.size, leaf.rights) for leaf in guest.memory.address_space.leaves()] == [(HUGE, 7)]
    assert guest.hypervisor.leaks() == []
