"""Where serial ports, the debug console and monitors go: the words of -serial, and the standard streams that several may share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from vmxon.cli.qemu.option import Draft
from vmxon.cli.terminal import CtrlC, GuestOutput, Terminal
from vmxon.debug.channels import Channel, FileChannel, Reader, open_channel
from vmxon.errors import ConfigurationError

SILENT = frozenset({"null", "none", "vc"})
CONTROL_A = 0x01
MUX_HELP = b"\r\nC-a c  switch between serial port and monitor\r\nC-a x  end\r\nC-a C-a  send C-a\r\n"


@dataclass(frozen=True, slots=True)
class Place:
    """One place: its channel, or the standard streams."""

    channel: Channel | None
    standard: bool = False
    shared: bool = False
    """mon:stdio: a monitor shares it."""


class Places:
    """All places of one machine; each of the same words is one place."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.places: dict[str, Place] = {}
        self.output = GuestOutput(sys.stdout)
        self.readers: list[Reader] = []
        """Who takes what is typed at the terminal; the first does at the start."""
        self.unshared_keys: Callable[[bytes], None] | None = None
        """Where keys go that no reader wants: the guest's keyboard."""
        self.quit: Callable[[], None] = lambda: None
        self.input_ended: Callable[[], None] = lambda: None
        """Called when nothing can be typed any more."""

    def find(self, words: str) -> Place | None:
        """The place of these words; None where nothing goes anywhere."""
        if words.startswith("chardev:"):
            identity = words.removeprefix("chardev:")
            if identity not in self.draft.characters:
                raise ConfigurationError(f"no -chardev has the id {identity!r}")
            words = self.draft.characters[identity]
        shared = words.startswith("mon:")
        words = words.removeprefix("mon:")
        if words in SILENT:
            return None
        if words == "stdio":
            return Place(None, standard=True, shared=shared)
        if words not in self.places:
            self.places[words] = Place(open_channel(words))
        return self.places[words]

    def writer(self, place: Place) -> Callable[[bytes], None]:
        """What sends bytes there."""
        return self.output.write if place.channel is None else place.channel.write

    def sink(self, words: str) -> Callable[[int], None]:
        """What takes the bytes of a device, one by one."""
        place = self.find(words)
        if place is None:
            return lambda value: None
        write = self.writer(place)
        return lambda value: write(bytes((value & 0xFF,)))

    def connect(self, words: str, reader: Reader) -> bool:
        """Give a reader what comes in there; False where nothing can."""
        place = self.find(words)
        if place is None or isinstance(place.channel, FileChannel):
            return False
        if place.channel is not None:
            place.channel.connect(reader)
        else:
            self.readers.append(reader)
        return True

    @contextmanager
    def open(self, *, shared: bool) -> Iterator[None]:
        """Everything listens while the machine runs."""
        with ExitStack() as stack:
            for place in self.places.values():
                if place.channel is not None:
                    stack.enter_context(place.channel)
            keys: Callable[[bytes], None] | None = self.unshared_keys
            if self.readers:
                multiplexer = Multiplexer(self.readers, self.output.write, self.quit)
                keys = multiplexer.receive if shared or len(self.readers) > 1 else self.readers[0].receive
                self.readers[0].opened()
            if keys is not None:
                control_c = CtrlC.GUEST if shared else CtrlC.STOP
                stack.enter_context(Terminal(keys, ctrl_c=control_c, ended=self.input_ended))
            try:
                yield
            finally:
                self.output.finish_line()


class Multiplexer:
    """Several readers at one terminal: Ctrl-A is the key to change between them."""

    def __init__(self, readers: list[Reader], write: Callable[[bytes], None], leave: Callable[[], None]) -> None:
        self.readers, self.write, self.leave = readers, write, leave
        self.current = 0
        self.met = {0}
        self.escaped = False

    def receive(self, data: bytes) -> None:
        """What was typed."""
        plain = bytearray()
        for byte in data:
            if self.escaped:
                self.escaped = False
                if byte == CONTROL_A:
                    plain.append(byte)
                    continue
                self._pass(plain)
                self._command(byte)
            elif byte == CONTROL_A:
                self.escaped = True
            else:
                plain.append(byte)
        self._pass(plain)

    def _pass(self, data: bytearray) -> None:
        if data:
            self.readers[self.current].receive(bytes(data))
            data.clear()

    def _command(self, byte: int) -> None:
        match chr(byte).lower():
            case "c":
                self.current = (self.current + 1) % len(self.readers)
                self.write(b"\r\n")
                if self.current not in self.met:
                    self.met.add(self.current)
                    self.readers[self.current].opened()
            case "x":
                self.leave()
            case "h" | "?":
                self.write(MUX_HELP)
