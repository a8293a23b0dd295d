"""Events and the guest's non-register state."""

import pytest

from vmxon.vmx.events import (
    EntryInterruption,
    EventType,
    ExitInterruption,
    IdtVectoring,
    InterruptibilityState,
    PendingDebugExceptions,
)


def test_injecting_a_page_fault() -> None:
    event = EntryInterruption.make(vector=14, type=EventType.HARDWARE_EXCEPTION, deliver_error_code=1, valid=1)
    assert event == 0x8000_0B0E
    assert event.type is EventType.HARDWARE_EXCEPTION


@pytest.mark.parametrize(
    ("raw", "vector", "kind"),
    [
        (0x8000_0202, 2, EventType.NMI),
        (0x8000_0020, 0x20, EventType.EXTERNAL_INTERRUPT),
        (0x8000_0603, 3, EventType.SOFTWARE_EXCEPTION),
        (0x8000_0501, 1, EventType.PRIVILEGED_SOFTWARE_EXCEPTION),
        (0x8000_0480, 0x80, EventType.SOFTWARE_INTERRUPT),
    ],
)
def test_kinds_of_event(raw: int, vector: int, kind: EventType) -> None:
    for word in (EntryInterruption(raw), ExitInterruption(raw), IdtVectoring(raw)):
        assert (word.vector, word.type, word.valid) == (vector, kind, True)


def test_reserved_bits() -> None:
    assert EntryInterruption.layout.reserved == 0x7FFF_D000
    assert ExitInterruption.layout.reserved == 0x7FFF_C000
    assert IdtVectoring.layout.reserved == 0x7FFF_D000
    assert InterruptibilityState.layout.reserved == 0xFFFF_FFE0
    assert PendingDebugExceptions.layout.reserved == (1 << 64) - 1 & ~0x1580F


def test_an_idt_vectoring_word_can_be_injected_again() -> None:
    assert EntryInterruption.layout.named == IdtVectoring.layout.named
