"""The protocol without a network: requests and replies."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from tests.debug.machines import ENTRY, LONG, machine, three_modes
from vmxon.debug.debugger import Debugger
from vmxon.debug.gdb.session import Session
from vmxon.debug.gdb.target import description
from vmxon.debug.registers import REGISTERS
from vmxon.machine.pc import Limits, Pc

NUMBER = {register.name: f"{number:x}".encode() for number, register in enumerate(REGISTERS)}


class Wire:
    """A session on a machine that stands still, and what it sent."""

    def __init__(self, pc: Pc) -> None:
        self.pc, self.sent = pc, []
        self.session = Session(Debugger(pc), self.sent.append, lambda line: f"<{line}>" * 3000, lambda: None)
        pc.paused = True

    def ask(self, content: bytes) -> bytes:
        self.session.receive(content)
        return self.sent.pop()

    def go(self, content: bytes) -> bytes:
        """The reply of a request that lets the machine run."""
        self.session.receive(content)
        self.pc.services[0xFFFF] = lambda: None
        self.session.debugger.listeners.append(lambda _: self.pc.quit())
        self.pc.run(Limits(instructions=1_000_000))
        self.session.debugger.listeners.pop()
        self.pc.end = None
        return self.sent.pop()


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        (b"?", b"T02thread:1;"),
        (b"qSupported:xmlRegisters=i386", b"PacketSize=4000;qXfer:features:read+;QStartNoAckMode+;vContSupported+;swbreak+;hwbreak+"),
        (b"vMustReplyEmpty", b""),
        (b"!", b""),
        (b"", b""),
        (b"qAttached", b"1"),
        (b"qfThreadInfo", b"m1"),
        (b"Hg0", b"OK"),
        (b"QStartNoAckMode", b"OK"),
        (b"p" + NUMBER["rip"], b"0000010000000000"),
        (b"p" + NUMBER["cs"], b"08000000"),
        (b"pfff", b"E01"),
        (b"p", b"E01"),
        (b"P" + NUMBER["rbx"] + b"=8877665544332211", b"OK"),
        (b"P" + NUMBER["rbx"] + b"=88", b"E01"),
        (b"P" + NUMBER["cr0"] + b"=0000000000000000", b"E.cr0 cannot be written: hidden state depends on it"),
        (b"m10000,2", b"9090"),
        (b"m10000,0", b""),
        (b"m3ffffe,4", b"0000"),
        (b"m400000,4", b"E14"),
        (b"m10000", b"E01"),
        (b"mxyz,1", b"E01"),
        (b"M10000,1:cc", b"OK"),
        (b"M10000,2:cc", b"E01"),
        (b"M400000,1:cc", b"E14"),
        (b"X10000,0:", b"OK"),
        (b"X10000,1:}\x03", b"OK"),
        (b"Z5,0,1", b""),
        (b"Z0,10000", b"E01"),
        (b"Z2,10000,0", b"E01"),
        (b"Z2,ffffffffffffffff,2", b"E01"),
        (b"z0,10000,1", b"OK"),
        (b"qXfer:features:read:other.xml:0,10", b"E00"),
        (b"qXfer:features:read:target.xml:0,5", b"m<?xml"),
        (b"qXfer:features:read:target.xml:ffff,5", b"l"),
    ],
)
def test_requests_and_replies(request_: bytes, reply: bytes) -> None:
    assert Wire(machine("nop\nnop\nhlt")).ask(request_) == reply


def test_all_registers_are_written_as_they_were_read() -> None:
    wire = Wire(machine("nop\nhlt"))
    everything = wire.ask(b"g")
    assert len(everything) == sum(register.bits for register in REGISTERS) // 4
    assert wire.ask(b"G" + everything) == b"OK"
    assert wire.ask(b"G" + b"ff" + everything[2:]) == b"OK"
    assert wire.pc.state.gpr[0] == 0xFF
    assert wire.ask(b"G" + everything.replace(b"11000000", b"12000000")) == b"E01", "CR0 may not change"


def test_the_description_is_xml_with_every_register() -> None:
    root = ElementTree.fromstring(description())
    assert [item.attrib["name"] for item in root.iter("reg")] == [register.name for register in REGISTERS]


def test_breakpoints_have_a_limit() -> None:
    wire = Wire(machine("nop\nhlt"))
    for number in range(64):
        assert wire.ask(b"Z0,%x,1" % (ENTRY + number)) == b"OK"
    assert wire.ask(b"Z0,%x,1" % (ENTRY + 64)) == b"E.more than 64 breakpoints"
    assert wire.ask(b"Z1,%x,1" % ENTRY) == b"OK", "the same place again"


@pytest.mark.parametrize(
    ("requests", "reply"),
    [
        ((b"vCont;s:1",), b"T05thread:1;"),
        ((b"Z0,10002,1", b"c"), b"T05swbreak:;thread:1;"),
        ((b"Z1,10002,1", b"vCont;c"), b"T05hwbreak:;thread:1;"),
        ((b"Z0,10000,1", b"Z0,10002,1", b"c"), b"T05swbreak:;thread:1;"),
        ((b"Z2,5000,4", b"C05"), b"T05watch:5000;thread:1;"),
        ((b"Z3,5002,1", b"c"), b"T05rwatch:5002;thread:1;"),
        ((b"Z4,5003,1", b"c"), b"T05awatch:5003;thread:1;"),
        ((b"vCont;r10000,10008:1;c",), b"T05thread:1;"),
        ((b"c10002",), b"T05swbreak:;thread:1;"),
    ],
)
def test_stops(requests: tuple[bytes, ...], reply: bytes) -> None:
    wire = Wire(machine("xor eax, eax\nmov [0x5000], eax\n1: mov eax, [0x5000]\njmp 1b"))
    *before, last = requests
    if last == b"c10002":
        before = [b"Z0,10007,1"]
    for request in before:
        assert wire.ask(request) == b"OK"
    assert wire.go(last) == reply


def test_stepping_within_a_range_stops_outside() -> None:
    wire = Wire(machine("mov ecx, 50\n1: dec ecx\njnz 1b\nnop\nhlt"))
    wire.go(b"vCont;r10000,10008:1")
    assert (wire.pc.state.rip, wire.pc.state.gpr[1]) == (0x10008, 0)


def test_long_output_of_the_monitor_comes_in_parts() -> None:
    wire = Wire(machine("hlt"))
    wire.session.receive(b"qRcmd," + b"words".hex().encode())
    assert wire.sent[-1] == b"OK"
    text = b"".join(bytes.fromhex(part[1:].decode()) for part in wire.sent[:-1])
    assert text == b"<words>" * 3000
    assert len(wire.sent) == 4


def test_gone_means_forgotten() -> None:
    wire = Wire(three_modes())
    wire.ask(b"Z0,%x,1" % LONG)
    assert wire.ask(b"D") == b"OK"
    assert not wire.pc.paused
    assert wire.pc.run(Limits(instructions=100_000)) == 43
