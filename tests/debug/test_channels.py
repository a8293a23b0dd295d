"""Ways to the monitor: pipes and sockets."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.debug.machines import machine
from vmxon.debug.channels import Channel, FileChannel, PipeChannel, SocketChannel, listen
from vmxon.debug.debugger import Debugger
from vmxon.debug.monitor import Monitor
from vmxon.debug.monitor.conversation import Conversation
from vmxon.debug.monitor.machine import DebuggedPc
from vmxon.errors import ConfigurationError
from vmxon.machine.pc import End, Pc

PROMPT = "(vmxon) "


def talking(pc: Pc) -> Monitor:
    return Monitor(DebuggedPc(Debugger(pc)))


def connected(channel: Channel, pc: Pc) -> Channel:
    channel.connect(Conversation(talking(pc), pc.post, channel.write, PROMPT))
    return channel


def until(read: Callable[[int], bytes], text: bytes) -> bytes:
    data = b""
    while text not in data:
        data += read(4096)
    return data


def test_a_pair_of_pipes_as_a_script_uses_it(tmp_path: Path) -> None:
    for end in ("in", "out"):
        os.mkfifo(tmp_path / f"qemu.{end}")
    pc = machine("1: jmp 1b")
    said: list[bytes] = []

    def script() -> None:
        with (tmp_path / "qemu.in").open("wb", buffering=0) as lines:
            lines.write(b"info status\nsendkey a\nquit\n")

    with connected(PipeChannel(str(tmp_path / "qemu")), pc):
        script()
        pc.run()
        answers = os.open(tmp_path / "qemu.out", os.O_RDONLY | os.O_NONBLOCK)
        said.append(os.read(answers, 4096))
        os.close(answers)
    assert pc.end is End.QUIT
    assert b"monitor - type 'help'" in said[0]
    assert b"(vmxon) VM status: running\r\n(vmxon) " in said[0]


def test_pipes_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"pipe:.*/x needs the named pipes .*/x.in and .*/x.out; mkfifo"):
        PipeChannel(str(tmp_path / "x"))


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_socket_serves_one_after_the_other(kind: str, tmp_path: Path) -> None:
    address = "127.0.0.1:0" if kind == "tcp" else str(tmp_path / "socket")
    listener = listen(kind, address, {"server", "nowait"})
    where = listener.getsockname()
    pc = machine("1: jmp 1b")

    def people() -> None:
        for line in (b"info status\n", b"quit\n"):
            with socket.socket(listener.family) as peer:
                peer.connect(where)
                until(peer.recv, b"(vmxon) ")
                peer.sendall(line)
                if line != b"quit\n":
                    assert b"running" in until(peer.recv, b"running\r\n(vmxon) ")

    with connected(SocketChannel(listener), pc):
        thread = threading.Thread(target=people)
        thread.start()
        pc.run()
        thread.join()
    assert pc.end is End.QUIT


@pytest.mark.parametrize(
    ("kind", "address", "settings", "message"),
    [
        ("tcp", "0.0.0.0:5", {"server", "nowait"}, "tcp:0.0.0.0:5 would be reachable from other hosts, expected 127.0.0.1"),
        ("tcp", ":x", {"server", "nowait"}, "'x' is no port in tcp::x, expected a number up to 65535"),
        ("tcp", ":5", {"nowait"}, "tcp::5 would call somebody, expected tcp::5,server,nowait"),
        ("tcp", ":5", {"server"}, "tcp::5 would wait for somebody, expected tcp::5,server,nowait"),
        ("unix", "/nonexistent/s", {"server", "wait=off"}, "unix:/nonexistent/s: no such file or directory"),
    ],
)
def test_sockets_that_cannot_be(kind: str, address: str, settings: set[str], message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        listen(kind, address, settings)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("typed", "echo", "shown"),
    [
        (b"p 1\n", False, b"0x1\r\n(vmxon) "),
        (b"p 1\r\n", False, b"0x1\r\n(vmxon) "),
        (b"p 1\r\r", False, b"0x1\r\n(vmxon) (vmxon) "),
        (b"p 12\x7f\n", True, b"p 12\b \b\r\n0x1\r\n(vmxon) "),
        (b"ab\x15p 2\n", True, b"ab\b \b\b \bp 2\r\n0x2\r\n(vmxon) "),
        (b"\x7f\x15\n", True, b"\r\n(vmxon) "),
        (b"p " + b"1" * 5000, False, b""),
    ],
)
def test_typing(typed: bytes, echo: bool, shown: bytes) -> None:
    said: list[bytes] = []
    conversation = Conversation(talking(machine("hlt")), lambda call: call(), said.append, PROMPT, echo=echo)
    conversation.receive(typed)
    assert b"".join(said) == shown
    assert len(conversation.line) <= 4096


def test_a_file_takes_everything(tmp_path: Path) -> None:
    with FileChannel(str(tmp_path / "log")) as channel:
        channel.write(b"hello")
    assert (tmp_path / "log").read_bytes() == b"hello"
    with pytest.raises(ConfigurationError, match="/nonexistent/log: No such file"):
        FileChannel("/nonexistent/log")
