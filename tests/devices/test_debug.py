import pytest

from vmxon.devices.bus import Bus
from vmxon.devices.debug import DebugConsole, DebugExit, PostCode


def test_console_reads_as_itself_and_writes_to_its_sink() -> None:
    bus, sent = Bus("port"), bytearray()
    DebugConsole(sent.append).connect(bus)
    bus.write_string(0xE9, 1, b"SWEB")
    assert sent == b"SWEB"
    assert bus.read(0xE9, 1) == 0xE9


@pytest.mark.parametrize(
    ("port", "size", "value", "status"),
    [(0xF4, 1, 0, 1), (0xF4, 1, 0x10, 0x21), (0xF4, 4, 0x12345, 0x2468B), (0xF4, 2, 0x1FF, 0x3FF), (0xF7, 1, 3, 7)],
)
def test_exit_status(port: int, size: int, value: int, status: int) -> None:
    bus, asked = Bus("port"), []
    DebugExit(asked.append).connect(bus)
    bus.write(port, size, value)
    assert asked == [status]
    assert bus.read(port, 1) == 0


def test_exit_elsewhere() -> None:
    bus, asked = Bus("port"), []
    DebugExit(asked.append).connect(bus, 0x501)
    bus.write(0xF4, 1, 1)
    assert asked == []
    bus.write(0x501, 1, 1)
    assert asked == [3]


def test_post_code_keeps_the_last() -> None:
    bus, post = Bus("port"), PostCode()
    post.connect(bus)
    bus.write(0x80, 1, 0x5A)
    assert (bus.read(0x80, 1), post.last) == (0x5A, 0x5A)
