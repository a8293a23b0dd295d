"""One gdb at the other end: its requests and our answers (gdb manual, “Remote Serial Protocol: Packets”)."""

from __future__ import annotations

from collections.abc import Callable

from vmxon.debug.debugger import Debugger, Stop, StopKind
from vmxon.debug.gdb.packets import LARGEST, escaped, unescaped
from vmxon.debug.gdb.target import description
from vmxon.debug.registers import REGISTERS, Register, linear_rip, write_rip
from vmxon.debug.stops import Access, TooMany

INTERRUPT_SIGNAL, TRAP_SIGNAL = 2, 5
THREAD = "thread:1;"
BAD_REQUEST, BAD_ADDRESS = b"E01", b"E14"
WATCHES = {2: (Access.WRITE, "watch"), 3: (Access.READ, "rwatch"), 4: (Access.READ | Access.WRITE, "awatch")}
"""Types of Z packets from 2 on, and the word in the stop reply."""
FEATURES = (
    f"PacketSize={LARGEST:x};qXfer:features:read+;QStartNoAckMode+;vContSupported+;swbreak+;hwbreak+".encode()
)
CONSOLE_CHUNK = LARGEST // 2 - 8
Monitor = Callable[[str], str]
"""Runs a line of the monitor's language and gives what it prints."""


class Session:
    """Answers packets in the machine's thread; `send` puts the content of a packet on the wire."""

    def __init__(self, debugger: Debugger, send: Callable[[bytes], None], monitor: Monitor, acknowledge_off: Callable[[], None]) -> None:
        self.debugger, self.pc = debugger, debugger.pc
        self.processor = debugger.pc.processor
        self.send, self.monitor, self.acknowledge_off = send, monitor, acknowledge_off
        self.waiting = False
        """gdb has let the machine run and waits for a stop reply."""
        self.last_stop = Stop(StopKind.INTERRUPTED)
        self.software: set[int] = set()
        self.hardware: set[int] = set()
        self.requests: dict[bytes, Callable[[bytes], bytes | None]] = {
            b"?": lambda _: self._stop_reply(), b"g": self._read_all, b"G": self._write_all, b"p": self._read_register,
            b"P": self._write_register, b"m": self._read_memory, b"M": self._write_memory, b"X": self._write_binary,
            b"c": lambda content: self._go(content, debugger.resume), b"s": lambda content: self._go(content, debugger.step),
            b"C": lambda content: self._go(content.partition(b";")[2], debugger.resume),
            b"S": lambda content: self._go(content.partition(b";")[2], debugger.step),
            b"Z": lambda content: self._change(content, insert=True), b"z": lambda content: self._change(content, insert=False),
            b"D": self._detach, b"k": self._kill, b"H": lambda _: b"OK", b"T": lambda _: b"OK", b"v": self._named_by_v,
            b"q": self._query, b"Q": self._set,
        }  # fmt: skip
        debugger.listeners.append(self._stopped)

    def connected(self) -> None:
        """A gdb has come: it expects a machine that stands still."""
        self.debugger.interrupt()

    def disconnected(self) -> None:
        """It has gone, perhaps without a word: the machine goes on without its breakpoints."""
        if self._stopped in self.debugger.listeners:
            self.debugger.listeners.remove(self._stopped)
            self._forget()
            self.debugger.resume()

    def receive(self, content: bytes) -> None:
        """One packet."""
        request = self.requests.get(content[:1])
        try:
            reply = b"" if request is None else request(content[1:])
        except (ValueError, IndexError):
            reply = BAD_REQUEST
        except TooMany as error:
            reply = f"E.{error}".encode()
        if reply is not None:
            self.send(reply)

    def interrupt(self) -> None:
        """Ctrl-C at gdb."""
        self.debugger.interrupt()

    # Stops.
    def _stopped(self, stop: Stop) -> None:
        self.last_stop = stop
        if self.waiting:
            self.waiting = False
            self.send(self._stop_reply())

    def _stop_reply(self) -> bytes:
        stop = self.last_stop
        if stop.kind is StopKind.INTERRUPTED:
            return f"T{INTERRUPT_SIGNAL:02x}{THREAD}".encode()
        why = ""
        if stop.kind is StopKind.BREAKPOINT:
            why = "swbreak:;" if linear_rip(self.processor) in self.software else "hwbreak:;"
        elif stop.watchpoint is not None:
            word = next(word for access, word in WATCHES.values() if access == stop.watchpoint.access)
            why = f"{word}:{stop.watchpoint.address:x};"
        return f"T{TRAP_SIGNAL:02x}{why}{THREAD}".encode()

    def _forget(self) -> None:
        self.debugger.stops.clear()
        self.software.clear()
        self.hardware.clear()

    # Registers.
    def _value(self, register: Register) -> str:
        return register.read(self.processor).to_bytes(register.bits // 8, "little").hex()

    def _read_all(self, _: bytes) -> bytes:
        return "".join(map(self._value, REGISTERS)).encode()

    def _write_all(self, content: bytes) -> bytes:
        """Those that may be written and differ; a difference in another refuses the whole packet."""
        data, changes = _binary(content), []
        for register in REGISTERS:
            size = register.bits // 8
            value, data = int.from_bytes(data[:size], "little"), data[size:]
            if value != register.read(self.processor):
                changes.append((register, value))
        if any(register.write is None for register, _ in changes):
            return BAD_REQUEST
        for register, value in changes:
            assert register.write is not None
            register.write(self.processor, value)
        return b"OK"

    def _read_register(self, content: bytes) -> bytes:
        return self._value(REGISTERS[_number(content)]).encode()

    def _write_register(self, content: bytes) -> bytes:
        number, _, value = content.partition(b"=")
        register = REGISTERS[_number(number)]
        data = _binary(value)
        if len(data) != register.bits // 8:
            return BAD_REQUEST
        if register.write is None:
            return f"E.{register.name} cannot be written: hidden state depends on it".encode()
        register.write(self.processor, int.from_bytes(data, "little"))
        return b"OK"

    # Memory.
    def _read_memory(self, content: bytes) -> bytes:
        address, length = map(_number, _two(content, b","))
        data = self.debugger.space.read(address, min(length, LARGEST // 2))
        return data.hex().encode() if data or not length else BAD_ADDRESS

    def _write_memory(self, content: bytes) -> bytes:
        place, _, data = content.partition(b":")
        return self._write(place, _binary(data))

    def _write_binary(self, content: bytes) -> bytes:
        place, _, data = content.partition(b":")
        return self._write(place, unescaped(data))

    def _write(self, place: bytes, data: bytes) -> bytes:
        address, length = map(_number, _two(place, b","))
        if length != len(data):
            return BAD_REQUEST
        return b"OK" if self.debugger.space.write(address, data) else BAD_ADDRESS

    # Running.
    def _go(self, address: bytes, action: Callable[[], None]) -> None:
        """`c` and `s` with an address start there; the signal of `C` and `S` means nothing to a machine."""
        if address:
            write_rip(self.processor, _number(address))
        self.waiting = True
        action()

    def _named_by_v(self, content: bytes) -> bytes | None:
        if content == b"Cont?":
            return b"vCont;c;C;s;S;r"
        if content.startswith(b"Kill"):
            self.pc.quit()
            return b"OK"
        if not content.startswith(b"Cont;"):
            return b""
        action = content.removeprefix(b"Cont;").partition(b";")[0].partition(b":")[0]  # the first action is our one thread's
        match action[:1]:
            case b"c" | b"C":
                self._go(b"", self.debugger.resume)
            case b"s" | b"S":
                self._go(b"", self.debugger.step)
            case b"r":
                first, end = map(_number, _two(action[1:], b","))
                self._go(b"", lambda: self.debugger.step_within(range(first, end)))
            case _:
                return BAD_REQUEST
        return None

    def _detach(self, _: bytes) -> bytes:
        self.disconnected()
        return b"OK"

    def _kill(self, _: bytes) -> None:
        self.pc.quit()

    # Breakpoints and watchpoints.
    def _change(self, content: bytes, *, insert: bool) -> bytes:
        kind, address, length = map(_number, content.partition(b";")[0].split(b","))
        stops = self.debugger.stops
        if kind in WATCHES:
            (stops.add_watchpoint if insert else stops.remove_watchpoint)(address, length, WATCHES[kind][0])
        elif kind not in {0, 1}:
            return b""
        else:
            held = self.hardware if kind else self.software
            if insert:
                stops.add_breakpoint(address)
                held.add(address)
            else:
                held.discard(address)
                if address not in self.software | self.hardware:
                    stops.remove_breakpoint(address)
        return b"OK"

    # Queries.
    def _query(self, content: bytes) -> bytes | None:
        name, _, rest = content.partition(b":")
        match name:
            case b"Supported":
                return FEATURES
            case b"Attached":
                return b"1"
            case b"C":
                return b"QC1"
            case b"fThreadInfo":
                return b"m1"
            case b"sThreadInfo":
                return b"l"
            case b"Symbol":
                return b"OK"
            case b"Xfer":
                return self._transfer(rest)
        if name.startswith(b"ThreadExtraInfo,"):
            return b"processor 0".hex().encode()
        return self._command(content[5:]) if content.startswith(b"Rcmd,") else b""

    def _transfer(self, content: bytes) -> bytes:
        """A part of the target description."""
        if not content.startswith(b"features:read:target.xml:"):
            return b"E00" if content.startswith(b"features:read:") else b""
        start, length = map(_number, _two(content.rpartition(b":")[2], b","))
        text = description()
        part = text[start : start + min(length, LARGEST // 2)]
        return (b"m" if start + len(part) < len(text) else b"l") + escaped(part)

    def _command(self, content: bytes) -> bytes:
        """`monitor WORDS` at gdb's prompt."""
        text = self.monitor(_binary(content).decode("utf-8", "replace")).encode()
        for start in range(0, len(text), CONSOLE_CHUNK):
            self.send(b"O" + text[start : start + CONSOLE_CHUNK].hex().encode())
        return b"OK"

    def _set(self, content: bytes) -> bytes:
        if content != b"StartNoAckMode":
            return b""
        self.acknowledge_off()
        return b"OK"


def _number(text: bytes) -> int:
    """A number as the protocol writes it: hex digits only, 64 bits."""
    if not text or not text.isalnum():
        raise ValueError(text)
    value = int(text, 16)
    if value >> 64:
        raise ValueError(text)
    return value


def _binary(text: bytes) -> bytes:
    """Bytes of pairs of hex digits."""
    return bytes.fromhex(text.decode("ascii"))


def _two(text: bytes, separator: bytes) -> tuple[bytes, bytes]:
    first, found, second = text.partition(separator)
    if not found:
        raise ValueError(text)
    return first, second
