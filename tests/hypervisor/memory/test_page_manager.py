"""PageManager: which frames are whose."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmxon.errors import ConfigurationError
from vmxon.hypervisor.memory.page_manager import PAGE, PageManager


def test_frames_below_the_reserve_are_never_given_out() -> None:
    pages = PageManager(64 * PAGE, 5 * PAGE + 1)
    assert pages.allocate() == 6 * PAGE
    assert pages.free == 57
    assert pages.is_taken(0)
    assert pages.is_taken(6 * PAGE)
    assert not pages.is_taken(7 * PAGE)


def test_runs_and_alignment() -> None:
    pages = PageManager(64 * PAGE, PAGE)
    assert pages.allocate(16, align=16) == 16 * PAGE
    assert pages.allocate() == PAGE
    assert pages.allocate(16, align=16) == 32 * PAGE


def test_a_released_frame_comes_back() -> None:
    pages = PageManager(8 * PAGE, PAGE)
    addresses = [pages.allocate() for _ in range(7)]
    pages.release(addresses[2])
    assert pages.allocate() == addresses[2]


def test_exhaustion_is_one_line() -> None:
    pages = PageManager(4 * PAGE, PAGE)
    with pytest.raises(ConfigurationError) as error:
        pages.allocate(4)
    assert str(error.value) == "the hypervisor needs 4 frames in a row and 3 are free; give the machine more memory"


def test_a_frame_that_is_free_cannot_be_released() -> None:
    pages = PageManager(4 * PAGE, PAGE)
    with pytest.raises(ValueError, match="1 frames at 0x2000 are not all taken"):
        pages.release(2 * PAGE)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 5), st.sampled_from([1, 2, 4])), max_size=60))
def test_no_frame_is_given_twice(steps: list[tuple[bool, int, int]]) -> None:
    pages = PageManager(64 * PAGE, 3 * PAGE)
    held: dict[int, int] = {}
    for give_back, count, align in steps:
        if give_back and held:
            address, size = held.popitem()
            pages.release(address, size)
            continue
        try:
            address = pages.allocate(count, align)
        except ConfigurationError:
            continue
        new = set(range(address // PAGE, address // PAGE + count))
        assert address // PAGE % align == 0
        assert min(new) >= 3
        assert max(new) < 64
        assert all(new.isdisjoint(range(a // PAGE, a // PAGE + n)) for a, n in held.items())
        held[address] = count
    assert pages.free == 61 - sum(held.values())
