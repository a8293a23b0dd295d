import pytest

from vmxon.devices.bus import Bus
from vmxon.devices.pic import PicPair

PRIMARY, SECONDARY, ELCR = 0x20, 0xA0, 0x4D0


class Machine:
    """A pair that is initialised as every PC does: vectors 0x20 and 0x28, cascade on 2, nothing masked."""

    def __init__(self, icw4: int = 1, secondary_icw4: int = 1) -> None:
        self.pic, self.bus = PicPair(), Bus("port")
        self.pic.connect(self.bus)
        for base, vectors, wiring, modes in ((PRIMARY, 0x20, 4, icw4), (SECONDARY, 0x28, 2, secondary_icw4)):
            self.out(base, 0x11)
            for value in (vectors, wiring, modes, 0):
                self.out(base + 1, value)

    def out(self, port: int, value: int) -> None:
        self.bus.write(port, 1, value)

    def read(self, port: int) -> int:
        return self.bus.read(port, 1)

    def edge(self, *lines: int) -> None:
        for line in lines:
            self.pic.lines[line].set(False)
            self.pic.lines[line].set(True)

    def in_service(self, base: int) -> int:
        self.out(base, 0x0B)
        value = self.read(base)
        self.out(base, 0x0A)
        return value

    @property
    def wants(self) -> bool:
        return self.pic.output.level

    def drain(self) -> list[int]:
        """Acknowledge and end, with specific commands, until nothing is left."""
        vectors = []
        while self.wants:
            vector = self.pic.acknowledge()
            vectors.append(vector)
            if vector >= 0x28:
                self.out(SECONDARY, 0x60 | vector & 7)
                vector = 0x22
            self.out(PRIMARY, 0x60 | vector & 7)
        return vectors


@pytest.fixture
def m() -> Machine:
    return Machine()


@pytest.mark.parametrize(
    ("lines", "vectors"),
    [
        ([0], [0x20]),
        ([7], [0x27]),
        ([8], [0x28]),
        ([15], [0x2F]),
        ([3, 1, 0], [0x20, 0x21, 0x23]),
        ([7, 15, 8, 1], [0x21, 0x28, 0x2F, 0x27]),  # the secondary stands between 1 and 3
        ([14, 3], [0x2E, 0x23]),
    ],
)
def test_fixed_priority(m: Machine, lines: list[int], vectors: list[int]) -> None:
    m.edge(*lines)
    assert m.drain() == vectors


@pytest.mark.parametrize("line", [n for n in range(16) if n != 2])
def test_mask_holds_a_request_back_and_lets_it_through_later(m: Machine, line: int) -> None:
    base = SECONDARY if line > 7 else PRIMARY
    m.out(base + 1, 1 << (line & 7))
    assert m.read(base + 1) == 1 << (line & 7)
    m.edge(line)
    assert not m.wants
    m.out(base + 1, 0)
    assert m.drain() == [0x20 + line]


def test_an_edge_is_held_until_acknowledged_and_then_used_up(m: Machine) -> None:
    m.pic.lines[4].set(True)
    m.pic.lines[4].set(False)
    assert m.wants
    assert m.read(PRIMARY) == 0x10
    assert m.pic.acknowledge() == 0x24
    assert m.read(PRIMARY) == 0
    assert m.in_service(PRIMARY) == 0x10
    m.out(PRIMARY, 0x20)
    assert not m.wants
    m.pic.lines[4].set(True)
    assert m.drain() == [0x24]
    assert not m.wants  # still high, but no new edge


def test_level_requests_again_until_it_falls(m: Machine) -> None:
    m.out(ELCR, 0x20)
    m.pic.lines[5].set(True)
    assert m.pic.acknowledge() == 0x25
    assert not m.wants  # in service
    m.out(PRIMARY, 0x20)
    assert m.wants
    m.pic.lines[5].set(False)
    assert not m.wants


@pytest.mark.parametrize(("port", "written", "read"), [(ELCR, 0xFF, 0xF8), (ELCR + 1, 0xFF, 0xDE), (ELCR, 0x20, 0x20)])
def test_elcr_has_only_the_lines_that_may_be_level(m: Machine, port: int, written: int, read: int) -> None:
    m.out(port, written)
    assert m.read(port) == read


def test_in_service_blocks_equal_and_lower_but_not_higher(m: Machine) -> None:
    m.edge(3)
    assert m.pic.acknowledge() == 0x23
    m.edge(3, 4)
    assert not m.wants
    m.edge(1)
    assert m.pic.acknowledge() == 0x21
    m.out(PRIMARY, 0x20)  # non-specific: ends 1, the highest
    assert m.in_service(PRIMARY) == 0x08
    m.out(PRIMARY, 0x20)
    assert m.drain() == [0x23, 0x24]


def test_spurious_only_after_a_level_vanished_or_was_masked(m: Machine) -> None:
    m.out(ELCR, 0x20)
    m.pic.lines[5].set(True)
    m.pic.lines[5].set(False)
    assert m.pic.acknowledge() == 0x27
    assert m.in_service(PRIMARY) == 0
    m.edge(4)
    m.out(PRIMARY + 1, 0x10)
    assert m.pic.acknowledge() == 0x27


def test_spurious_15_leaves_the_cascade_in_service(m: Machine) -> None:
    m.out(ELCR + 1, 0x02)
    m.pic.lines[9].set(True)
    m.pic.primary.requests |= 4
    m.pic.secondary.levels = m.pic.secondary.requests = 0
    assert m.pic.acknowledge() == 0x2F
    assert m.in_service(PRIMARY) == 4
    assert m.in_service(SECONDARY) == 0


def test_a_vanished_request_of_the_secondary_withdraws_the_output(m: Machine) -> None:
    m.out(ELCR + 1, 0x02)
    m.pic.lines[9].set(True)
    m.pic.lines[9].set(False)
    assert not m.wants


@pytest.mark.parametrize(
    ("command", "order"),
    [
        (0xC0 | 3, [4, 5, 6, 7, 0, 1, 3]),  # set priority: 3 becomes lowest
        (0xC0 | 7, [0, 1, 3, 4, 5, 6, 7]),
        (0xC0 | 0, [1, 3, 4, 5, 6, 7, 0]),
    ],
)
def test_set_priority(m: Machine, command: int, order: list[int]) -> None:
    m.out(PRIMARY, command)
    m.edge(*(n for n in range(8) if n != 2))
    assert m.drain() == [0x20 + n for n in order]


@pytest.mark.parametrize("command", [0xA0, 0xE0 | 4])
def test_rotation_at_end_of_interrupt(m: Machine, command: int) -> None:
    m.edge(4)
    assert m.pic.acknowledge() == 0x24
    m.out(PRIMARY, command)
    assert m.in_service(PRIMARY) == 0
    m.edge(1, 4, 6)
    assert m.drain() == [0x26, 0x21, 0x24]


def test_automatic_end_and_its_rotation() -> None:
    m = Machine(icw4=3)
    m.edge(1)
    assert m.pic.acknowledge() == 0x21
    assert m.in_service(PRIMARY) == 0
    m.out(PRIMARY, 0x80)
    m.edge(1)
    assert m.pic.acknowledge() == 0x21  # now lowest
    m.edge(1, 0)
    assert [m.pic.acknowledge(), m.pic.acknowledge()] == [0x20, 0x21]
    m.out(PRIMARY, 0x00)
    m.edge(3, 4)
    assert [m.pic.acknowledge(), m.pic.acknowledge()] == [0x23, 0x24]


def test_special_mask_mode_lets_lower_requests_in(m: Machine) -> None:
    m.edge(1)
    assert m.pic.acknowledge() == 0x21
    m.edge(5)
    m.out(PRIMARY, 0x68)
    assert not m.wants
    m.out(PRIMARY + 1, 0x02)
    assert m.pic.acknowledge() == 0x25
    m.out(PRIMARY, 0x20)  # ends 5: the masked 1 does not count
    assert m.in_service(PRIMARY) == 0x02
    m.edge(6)
    assert m.wants
    m.out(PRIMARY, 0x48)
    assert not m.wants


def test_poll_acknowledges(m: Machine) -> None:
    m.edge(3)
    m.out(PRIMARY, 0x0C)
    assert m.read(PRIMARY) == 0x83
    assert m.in_service(PRIMARY) == 0x08
    m.out(PRIMARY, 0x0C)
    assert m.read(PRIMARY) == 0
    assert m.read(PRIMARY + 1) == 0


def test_special_fully_nested_mode_accepts_a_higher_request_of_the_secondary() -> None:
    plain, nested = Machine(), Machine(icw4=0x11)
    for m in (plain, nested):
        m.edge(12)
        assert m.pic.acknowledge() == 0x2C
        m.edge(9)
    assert not plain.wants
    assert nested.wants
    assert nested.pic.acknowledge() == 0x29


def test_initialization_clears_and_needs_new_edges(m: Machine) -> None:
    m.edge(3)
    m.out(PRIMARY + 1, 0xFF)
    m.out(PRIMARY, 0x11)
    for value in (0x40, 4, 1):
        m.out(PRIMARY + 1, value)
    assert m.read(PRIMARY + 1) == 0
    assert not m.wants
    m.edge(3)
    assert m.pic.acknowledge() == 0x43


@pytest.mark.parametrize(("icw1", "words"), [(0x10, 2), (0x11, 3), (0x12, 1), (0x13, 2)])
def test_initialization_takes_as_many_words_as_icw1_says(m: Machine, icw1: int, words: int) -> None:
    m.out(PRIMARY, icw1)
    for _ in range(words):
        m.out(PRIMARY + 1, 0x08)
    m.out(PRIMARY + 1, 0x5A)
    assert m.read(PRIMARY + 1) == 0x5A


def test_a_second_request_of_the_secondary_is_not_lost(m: Machine) -> None:
    m.edge(8, 14)
    assert m.pic.acknowledge() == 0x28
    assert not m.wants
    m.out(SECONDARY, 0x20)
    m.out(PRIMARY, 0x20)
    assert m.drain() == [0x2E]


def test_a_poll_of_the_primary_uses_up_the_edge_of_the_cascade(m: Machine) -> None:
    m.edge(9, 11)
    assert m.read(PRIMARY) == 4
    m.out(PRIMARY, 0x0C)
    assert m.read(PRIMARY) == 0x82
    assert m.read(PRIMARY) == 0
    m.out(SECONDARY, 0x0C)
    assert m.read(SECONDARY) == 0x81
    assert m.read(PRIMARY) == 0, "in service on the second chip, line 9 holds line 11 back"
    m.out(SECONDARY, 0x20)
    assert m.read(PRIMARY) == 4


def test_automatic_end_on_the_secondary_makes_a_new_edge_for_each_request() -> None:
    m = Machine(secondary_icw4=3)
    m.edge(9, 11, 12)
    vectors = []
    while m.wants:
        vectors.append(m.pic.acknowledge())
        m.out(PRIMARY, 0x62)
    assert vectors == [0x29, 0x2B, 0x2C]
