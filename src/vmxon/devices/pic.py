"""Interrupt controllers of the PC: two 8259A and their edge/level registers.

Source: Intel 8259A data sheet (231468-003), “Programming the 8259A” and “Operation Command Words”; ELCR: Intel 82371SB
data sheet (290550), “ELCR1, ELCR2—Edge/Level Control Registers”.

Not there: the modes of the MCS-80, buffered mode's pin.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from vmxon.arch.bits import Word, choice, field, flag
from vmxon.devices.bus import Device, PortSpace, reads, writes
from vmxon.devices.interrupt import Line

CASCADE = 2
SPURIOUS = 7


class Icw1(Word, width=8):
    """First initialization command: told from OCW2 and OCW3 by its bit 4."""

    icw4_needed = flag(0, "ICW4 follows")
    single = flag(1, "no cascade: ICW3 does not follow")
    call_interval = flag(2, "MCS-80 only")
    level_triggered = flag(3, "ignored: ELCR took its place in the 82371")
    initialize = flag(4, "one in every ICW1")
    call_address = field(7, 5, "MCS-80 only")


class Icw4(Word, width=8):
    """Fourth initialization command: the modes."""

    x86 = flag(0, "8086 mode: one vector, not a CALL")
    auto_end = flag(1, "the acknowledge cycle ends the interrupt")
    buffering = field(3, 2, "buffered modes: no effect on a PC")
    special_fully_nested = flag(4, "a service of the cascade does not block more requests from it")


class Ocw2(Word, width=8):
    """Second operation command: end of interrupt and rotation."""

    level = field(2, 0, "the request that a specific command names")
    specific = flag(6, "`level` counts")
    end = flag(5, "end of interrupt")
    rotate = flag(7, "rotate priorities")


class Ocw3(Word, width=8):
    """Third operation command: poll, register to read, special mask mode."""

    read_register = field(1, 0, "2: read the requests, 3: read what is in service")
    poll = flag(2, "the next read acknowledges")
    marker = choice(4, 3, int, "1 in every OCW3")
    special_mask = field(6, 5, "2: leave special mask mode, 3: enter it")


class Pic8259(Device, span=2):
    """One 8259A with eight request inputs; `output` hears its INT pin. `level_choices` are the ELCR bits that exist."""

    saves: ClassVar[tuple[str, ...]] = (
        "levels", "requests", "in_service", "mask", "edge_or_level", "lowest", "vector_base", "icw_expected",
        "single", "icw4_needed", "modes", "rotate_on_auto_end", "special_mask", "read_service", "poll",
    )  # fmt: skip

    def __init__(self, output: Callable[[bool], None], level_choices: int, cascade: int | None) -> None:
        self.output = output
        self.level_choices = level_choices
        self.cascade = cascade
        self.levels = 0
        self.requests = 0
        self.in_service = 0
        self.mask = 0
        self.edge_or_level = 0
        self.lowest = 7
        self.vector_base = 0
        self.icw_expected = 0
        self.single = False
        self.icw4_needed = False
        self.modes = Icw4(0)
        self.rotate_on_auto_end = False
        self.special_mask = False
        self.read_service = False
        self.poll = False

    def request(self, number: int, level: bool) -> None:
        """Drive input `number`; an edge is latched until acknowledged, a level follows the wire.

        On the cascade an edge is latched too, and its fall takes it back: the other chip never withdraws by accident.
        """
        bit = 1 << number
        if level:
            if not self.levels & bit or self.edge_or_level & bit:
                self.requests |= bit
            self.levels |= bit
        else:
            self.levels &= ~bit
            if self.edge_or_level & bit or number == self.cascade:
                self.requests &= ~bit
        self.update()

    def _rotated(self, bits: int) -> int:
        """`bits` with the input of highest priority in bit 0."""
        return (bits << 8 | bits) >> (self.lowest + 1 & 7) & 0xFF

    def _first(self, bits: int) -> int | None:
        """The input of highest priority in `bits`."""
        rotated = self._rotated(bits)
        return (rotated & -rotated).bit_length() + self.lowest & 7 if rotated else None

    def pending(self) -> int | None:
        """The request that the INT pin stands for: unmasked, and above everything in service."""
        requests = self.requests & ~self.mask
        if not requests:
            return None
        blocking = self.in_service
        if blocking:
            if self.special_mask:
                blocking &= ~self.mask
            if self.modes.special_fully_nested and self.cascade is not None:
                blocking &= ~(1 << self.cascade)
            first, blocker = self._rotated(requests), self._rotated(blocking)
            if blocker and blocker & -blocker <= first & -first:
                return None
        return self._first(requests)

    def update(self) -> None:
        """Drive INT."""
        self.output(self.pending() is not None)

    def acknowledge(self) -> int | None:
        """First INTA cycle: INT falls, the request goes into service. None where nothing requests any more."""
        number = self.pending()
        if self.cascade is None:
            self.output(False)  # the other chip sees an edge where more is pending
        if number is None:
            return None
        if not self.edge_or_level >> number & 1:
            self.requests &= ~(1 << number)
        if self.modes.auto_end:
            if self.rotate_on_auto_end:
                self.lowest = number
        else:
            self.in_service |= 1 << number
        return number

    @reads(0)
    def read_status(self) -> int:
        if self.poll:
            return self._polled()
        return self.in_service if self.read_service else self.requests

    @reads(1)
    def read_mask(self) -> int:
        return self._polled() if self.poll else self.mask

    def _polled(self) -> int:
        """Poll word: bit 7 set with the number of the request that it just acknowledged, else 0."""
        self.poll = False
        number = self.acknowledge()
        self.update()
        return 0 if number is None else 0x80 | number

    @writes(0)
    def command(self, value: int) -> None:
        if Icw1(value).initialize:
            self._initialize(Icw1(value))
        elif Ocw3(value).marker == 1:
            self._select(Ocw3(value))
        else:
            self._end(Ocw2(value))
        self.update()

    def _initialize(self, icw1: Icw1) -> None:
        self.requests = self.levels & self.edge_or_level  # an edge must be made anew
        self.in_service = self.mask = 0
        self.lowest = 7
        self.special_mask = self.read_service = self.poll = self.rotate_on_auto_end = False
        self.single, self.icw4_needed = icw1.single, icw1.icw4_needed
        self.modes = Icw4(0)
        self.icw_expected = 2

    def _select(self, ocw3: Ocw3) -> None:
        self.poll = ocw3.poll
        if ocw3.read_register & 2:
            self.read_service = ocw3.read_register == 3
        if ocw3.special_mask & 2:
            self.special_mask = ocw3.special_mask == 3

    def _end(self, ocw2: Ocw2) -> None:
        if not ocw2.end:
            if ocw2.specific and ocw2.rotate:
                self.lowest = ocw2.level  # set priority
            elif not ocw2.specific:
                self.rotate_on_auto_end = ocw2.rotate
            return
        candidates = self.in_service & ~self.mask if self.special_mask else self.in_service
        number = ocw2.level if ocw2.specific else self._first(candidates)
        if number is None:
            return
        self.in_service &= ~(1 << number)
        if ocw2.rotate:
            self.lowest = number

    @writes(1)
    def data(self, value: int) -> None:
        match self.icw_expected:
            case 2:
                self.vector_base = value & 0xF8
                self.icw_expected = 4 if self.single and self.icw4_needed else 0 if self.single else 3
            case 3:  # the wiring of a PC is fixed
                self.icw_expected = 4 if self.icw4_needed else 0
            case 4:
                self.modes = Icw4(value)
                self.icw_expected = 0
            case _:
                self.mask = value
        self.update()

    def set_edge_or_level(self, value: int) -> None:
        """ELCR: one bit for each input, set where a level requests."""
        self.edge_or_level = value & self.level_choices
        self.requests |= self.levels & self.edge_or_level
        self.update()


class EdgeLevel(Device, span=2):
    """ELCR1 and ELCR2."""

    def __init__(self, primary: Pic8259, secondary: Pic8259) -> None:
        self.primary, self.secondary = primary, secondary

    @reads(0)
    def primary_levels(self) -> int:
        return self.primary.edge_or_level

    @reads(1)
    def secondary_levels(self) -> int:
        return self.secondary.edge_or_level

    @writes(0)
    def set_primary_levels(self, value: int) -> None:
        self.primary.set_edge_or_level(value)

    @writes(1)
    def set_secondary_levels(self, value: int) -> None:
        self.secondary.set_edge_or_level(value)


class PicPair(Device, saves=("primary", "secondary", "output", "lines")):
    """Sixteen request lines, `lines[0]` to `lines[15]`, for one processor, which watches `output`."""

    def __init__(self) -> None:
        self.output = Line()
        self.primary = Pic8259(self.output.set, level_choices=0xF8, cascade=CASCADE)
        self.secondary = Pic8259(self._cascade, level_choices=0xDE, cascade=None)
        self.edge_level = EdgeLevel(self.primary, self.secondary)
        self.lines = [Line(self._input(number)) for number in range(16)]

    def _cascade(self, level: bool) -> None:
        self.primary.request(CASCADE, level)

    def _input(self, number: int) -> Callable[[bool], None]:
        chip = self.primary if number < 8 else self.secondary
        return lambda level: chip.request(number & 7, level)

    def connect(self, ports: PortSpace) -> None:
        """Attach at 0x20, 0xA0 and 0x4D0."""
        ports.attach(0x20, self.primary)
        ports.attach(0xA0, self.secondary)
        ports.attach(0x4D0, self.edge_level)

    def acknowledge(self) -> int:
        """The vector of the request that the processor accepts.

        The vector of IRQ 7 or 15, with nothing in service on that chip, where the request vanished before this cycle:
        a level that fell, or a mask set in between (8259A, “Edge and level triggered modes”).
        """
        number = self.primary.acknowledge()
        if number != CASCADE:
            self.primary.update()
            return self.primary.vector_base | (SPURIOUS if number is None else number)
        number = self.secondary.acknowledge()
        self.secondary.update()
        self.primary.update()
        return self.secondary.vector_base | (SPURIOUS if number is None else number)
