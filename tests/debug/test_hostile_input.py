"""Whatever comes over a socket or a pipe, nothing but an answer comes of it."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.debug.machines import machine, three_modes
from vmxon.debug.debugger import Debugger
from vmxon.debug.gdb.packets import PacketReader, Signal
from vmxon.debug.gdb.session import Session
from vmxon.debug.monitor import Monitor
from vmxon.debug.monitor.commands import COMMANDS, INFORMATION
from vmxon.debug.monitor.conversation import Conversation
from vmxon.debug.monitor.machine import DebuggedPc

PC = machine("nop\nnop\nhlt")
MONITOR = Monitor(DebuggedPc(Debugger(PC)))
SAFE = sorted({*COMMANDS} - {"screendump", "memsave", "pmemsave"})  # those that write no file
WORDS = st.sampled_from([*SAFE, *INFORMATION, "$rip", "0x10000", "/8xg", "/c", "-1", "(", ")", "+", "%", "a-b", "1" * 30, "é"])
HEX = st.sampled_from([b"0", b"1", b"f", b",", b":", b";", b"=", b"10000", b"ffffffffffffffff", b"-1", b"+", b"_", b"xyz", b"\xff", b"}"])
LETTERS = st.sampled_from([*b"?gGpPmMXcCsSZzDkHTvqQ!bR"]).map(lambda letter: bytes((letter,)))
NAMES = st.sampled_from([b"", b"Cont;", b"Cont;r", b"Supported:", b"Xfer:features:read:target.xml:", b"Rcmd,", b"StartNoAckMode", b"Kill"])
MANY = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@MANY
@given(st.lists(WORDS, max_size=6))
def test_words_to_the_monitor(words: list[str]) -> None:
    assert isinstance(MONITOR.execute(" ".join(words)), str)


@MANY
@given(st.text(max_size=40))
def test_any_text_to_the_monitor(text: str) -> None:
    if text.split(maxsplit=1)[:1] not in (["screendump"], ["memsave"], ["pmemsave"]):
        answer = MONITOR.execute(text)
        assert answer == "" or answer.endswith("\n")


@MANY
@given(st.lists(st.binary(max_size=20), max_size=5))
def test_any_bytes_to_a_conversation(chunks: list[bytes]) -> None:
    said: list[bytes] = []
    conversation = Conversation(MONITOR, lambda call: call(), said.append, "> ", echo=True)
    for chunk in chunks:
        if b"screendump" not in chunk and b"memsave" not in chunk:
            conversation.receive(chunk)


@MANY
@given(LETTERS, NAMES, st.lists(HEX, max_size=5))
def test_requests_of_gdb(letter: bytes, name: bytes, rest: list[bytes]) -> None:
    sent: list[bytes] = []
    pc = three_modes()
    session = Session(Debugger(pc), sent.append, MONITOR.execute, lambda: None)
    pc.paused = True
    session.receive(letter + name + b"".join(rest))
    assert len(sent) <= 2


@MANY
@given(st.lists(st.binary(max_size=30), max_size=5))
def test_any_stream_of_bytes(chunks: list[bytes]) -> None:
    reader = PacketReader()
    for chunk in chunks:
        for item in reader.feed(chunk):
            assert isinstance(item, bytes | Signal)
