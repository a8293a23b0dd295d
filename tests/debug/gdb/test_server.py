"""The server with Debian's gdb at the other end: one kernel through 16, 32 and 64-bit mode."""

from __future__ import annotations

import socket
import subprocess
import threading

import pytest

from tests.debug.machines import HIGH_LOOP, LONG, PROTECTED, REAL, machine, three_modes
from vmxon.debug.debugger import Debugger
from vmxon.debug.gdb.packets import packet
from vmxon.debug.gdb.server import GdbServer
from vmxon.errors import ConfigurationError
from vmxon.machine.pc import End, Pc

COUNTER = 0x101F0


def debug(pc: Pc, *commands: str) -> str:
    """What gdb prints for these commands against a machine that waits for them."""
    pc.paused = True
    with GdbServer(Debugger(pc), lambda line: f"monitor: {line}\n", port=0) as server:
        words = ["timeout", "60", "gdb", "-q", "-nx", "-batch", "-ex", "set architecture i386:x86-64"]
        for command in (f"target remote 127.0.0.1:{server.port}", *commands):
            words += ["-ex", command]
        gdb = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        pc.run()
    output, _ = gdb.communicate(timeout=60)
    return output


def undisturbed() -> Pc:
    pc = three_modes()
    pc.run()
    return pc


@pytest.mark.gdb
def test_gdb_follows_a_kernel_through_three_modes() -> None:
    pc = three_modes()
    output = debug(
        pc,
        *(f"break *{REAL + 3:#x}", "continue", "print $cr0", "print $cs", "x/i $pc", "x/1bx $pc"),
        *(f"hbreak *{PROTECTED + 4:#x}", "continue", "print $cr0", "print $cs", "print/x $bx"),
        *(f"break *{LONG:#x}", "continue", "print $efer", "info registers cr3"),
        *(f"break *{HIGH_LOOP:#x}", "continue", "print/x $pc", f"x/1gx {COUNTER:#x}", "monitor words"),
        *(f"watch *(long *){COUNTER:#x}", "continue", "delete", "stepi", "print $r8", "set var $r8 = 990", "continue"),
    )
    expected = (
        *("Breakpoint 1, 0x0000000000010043", "[ ET ]", "= 4096", "mov    %eax,%ds", "0x8e"),
        *("Breakpoint 2, 0x0000000000010084", "[ PE ET ]", "= 8", "= 0x1616", "Breakpoint 3, 0x00000000000100c0", "[ LME LMA ]"),
        *("0x2000", "Breakpoint 4, 0xffff800000010100", "0xffff800000010100", "0x0000000000000001", "monitor: words"),
        *("Hardware watchpoint 5", "Old value = 1", "New value = 2", "= 1", "exited with code 053"),
    )
    at = 0
    for text in expected:
        found = output.find(text, at)
        assert found >= 0, f"{text!r} is missing after {output[:at][-200:]!r} in:\n{output}"
        at = found
    assert (pc.end, pc.exit_value) == (End.DEBUG_EXIT, 43)
    assert pc.processor.engine.read_physical(COUNTER, 8) == (1000 - 990 + 2).to_bytes(8, "little")


@pytest.mark.gdb
def test_a_debugged_run_has_the_same_instructions_and_memory() -> None:
    pc, alone = three_modes(), undisturbed()
    places = (f"break *{REAL:#x}", f"break *{HIGH_LOOP:#x}")
    output = debug(pc, *places, "continue", "continue", "stepi", "stepi", "ignore 2 500", "continue", "detach")
    assert output.count("Breakpoint 2, ") == 2
    assert (pc.processor.instructions, pc.memory_hash()) == (alone.processor.instructions, alone.memory_hash())


@pytest.mark.gdb
def test_kill_ends_the_machine() -> None:
    pc = three_modes()
    debug(pc, "kill")
    assert (pc.end, pc.exit_value) == (End.QUIT, None)


def test_a_connection_that_breaks_lets_the_machine_go_on() -> None:
    pc = three_modes()
    pc.paused = True
    with GdbServer(Debugger(pc), str, port=0) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as peer:
            peer.sendall(b"+$Z0,100c0,1#1b$nonsense#00\x03$g#67")
            peer.recv(1)
        pc.run()
    assert pc.exit_value == 43


def test_a_port_that_is_taken_is_one_clear_line() -> None:
    debugger = Debugger(three_modes())
    with GdbServer(debugger, str, port=0) as server, pytest.raises(ConfigurationError) as refused:
        GdbServer(debugger, str, port=server.port)
    assert str(refused.value) == f"gdb cannot be served at 127.0.0.1:{server.port}: address already in use; choose another port"
    with pytest.raises(ConfigurationError, match="gdb cannot be served at port 70000, expected a number up to 65535"):
        GdbServer(debugger, str, port=70000)


def test_control_c_stops_a_machine_that_runs() -> None:
    pc = machine("1: jmp 1b")
    pc.paused = pc.interactive = True
    said = []

    def person(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as peer:
            peer.sendall(packet(b"QStartNoAckMode") + b"+" + packet(b"vCont;c"))
            received = peer.recv(4096)
            while received.count(b"#") < 1:
                received += peer.recv(4096)
            peer.sendall(b"\x03")
            while received.count(b"#") < 2:
                received += peer.recv(4096)
            peer.sendall(packet(b"k"))
            said.append(received)

    with GdbServer(Debugger(pc), str, port=0) as server:
        thread = threading.Thread(target=person, args=(server.port,))
        thread.start()
        pc.run()
        thread.join()
    # Whether the second packet is acknowledged depends on which of the peer's “+” and its packet the server reads first.
    assert said[0].replace(b"+", b"") == b"$OK#9a" + packet(b"T02thread:1;")
    assert pc.end is End.QUIT
