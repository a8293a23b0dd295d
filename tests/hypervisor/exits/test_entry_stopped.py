"""A guest that cannot be entered stops with one line and the reasons below it."""

from __future__ import annotations

import pytest

from tests.hypervisor.guests import Guest, image_of
from vmxon.hypervisor.exits.entry_stopped import EntryStopped
from vmxon.vmx.fields import VmcsField as F


@pytest.mark.parametrize(
    ("field", "value", "line", "rule"),
    [
        (F.HOST_TR_SELECTOR, 0, "VMLAUNCH: VMfailValid 8, ", "host_tr_selector.null"),
        (F.VMCS_LINK_POINTER, 1, "VM entry failed with exit reason 33, ", "link.aligned"),
    ],
)
def test_a_guest_that_cannot_be_entered(field: F, value: int, line: str, rule: str) -> None:
    guest = Guest(image_of("jmp good"))
    guest.machine.root.vmwrite(field, value)
    with pytest.raises(EntryStopped) as error:
        guest.run()
    assert str(error.value).startswith(f"VMCS {guest.machine.root.state.vmcs_pointer:#x}: {line}")
    assert f"broken rule {rule}: " in str(error.value)
    details = error.value.details
    assert f"  1. {rule} (hardware reports this one)" in details
    written = next(text for text in details[details.index(f"  1. {rule} (hardware reports this one)") :] if "written" in text)
    assert written.startswith("      written by the Python program at test_entry_stopped.py:")
