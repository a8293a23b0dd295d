import pytest

from tests.devices.pci.machine import Machine, card

ABSENT = 0xFFFF_FFFF


@pytest.fixture
def m() -> Machine:
    return Machine()


@pytest.mark.parametrize(
    ("written", "read"),
    [(0x8000_0800, 0x8000_0800), (0xFFFF_FFFF, 0x80FF_FFFC), (0x0000_0803, 0x0000_0800)],
)
def test_the_address_port_keeps_what_it_defines(m: Machine, written: int, read: int) -> None:
    m.ports.write(0xCF8, 4, written)
    assert m.ports.read(0xCF8, 4) == read


@pytest.mark.parametrize(("port", "size"), [(0xCF8, 1), (0xCF8, 2), (0xCF9, 1), (0xCFA, 2), (0xCFB, 1)])
def test_narrow_accesses_are_not_the_address(m: Machine, port: int, size: int) -> None:
    m.ports.write(0xCF8, 4, 0x8000_0800)
    m.ports.write(port, size, 0)
    assert m.ports.read(0xCF8, 4) == 0x8000_0800


@pytest.mark.parametrize(
    ("port", "size", "value"),
    [
        (0xCFC, 4, 0x7000_8086),
        (0xCFC, 2, 0x8086),
        (0xCFE, 2, 0x7000),
        (0xCFC, 1, 0x86),
        (0xCFD, 1, 0x80),
        (0xCFF, 1, 0x70),
    ],
)
def test_every_width_reaches_the_data_port(m: Machine, port: int, size: int, value: int) -> None:
    m.ports.write(0xCF8, 4, 0x8000_0800)
    assert m.ports.read(port, size) == value


@pytest.mark.parametrize("address", [0x0000_0800, 0x8001_0800, 0x8000_1000, 0x8000_0900])
def test_nothing_is_elsewhere(m: Machine, address: int) -> None:
    m.ports.write(0xCF8, 4, address)
    m.ports.write(0xCFC, 4, 0)
    assert m.ports.read(0xCFC, 4) == ABSENT


@pytest.mark.parametrize(("slot", "pin", "wire"), [(1, 1, 0), (2, 1, 1), (3, 1, 2), (4, 1, 3), (5, 1, 0), (2, 4, 0), (31, 2, 3)])
def test_pins_are_swizzled(m: Machine, slot: int, pin: int, wire: int) -> None:
    m.isa.pin(slot, pin).set(True)
    assert [shared.level for shared in m.isa.requests] == [number == wire for number in range(4)]


def test_a_route_says_which_line(m: Machine) -> None:
    m.bus.plug(3, card())  # on PCI interrupt 2
    function = m.bus.functions[3, 0]
    function.set_interrupt(True)
    assert not any(line.level for line in m.lines.values())
    for number in (10, 5, 11):
        m.write(1, 0x62, number, 1)
        assert [n for n, line in m.lines.items() if line.level] == [number]
    m.write(1, 0x62, 0x80 | 11, 1)
    assert not any(line.level for line in m.lines.values())
    m.write(1, 0x62, 11, 1)
    function.set_interrupt(False)
    assert not m.lines[11].level


def test_requests_share_a_line(m: Machine) -> None:
    first, second = m.isa.pin(1, 1), m.isa.pin(2, 1)
    m.write(1, 0x60, 0x0B0B)
    first.set(True)
    second.set(True)
    first.set(False)
    assert m.lines[11].level
    second.pulse()
    assert m.lines[11].level
    second.set(False)
    assert not m.lines[11].level


@pytest.mark.parametrize(("written", "read"), [(0xFF, 0x8F), (0x0B, 0x0B), (0x7A, 0x0A)])
def test_route_registers(m: Machine, written: int, read: int) -> None:
    assert m.read(1, 0x60) == 0x8080_8080
    m.write(1, 0x61, written, 1)
    assert m.read(1, 0x61, 1) == read


def test_a_pulse_of_a_request_is_an_edge_of_the_line(m: Machine) -> None:
    edges: list[bool] = []
    m.lines[10].connect(edges.append)
    m.write(1, 0x60, 10, 1)
    m.isa.pin(1, 1).pulse()
    m.isa.pin(1, 1).pulse()
    assert edges == [True]
    assert m.ports.read(0xCF8, 2) == 0xFFFF


def test_a_bridge_returns_from_a_snapshot(m: Machine) -> None:
    m.write(1, 0x60, 10, 1)
    m.isa.pin(1, 1).set(True)
    saved = m.isa.state()
    copy = Machine()
    copy.isa.restore(saved)
    assert copy.lines[10].level
    assert copy.isa.state() == saved
