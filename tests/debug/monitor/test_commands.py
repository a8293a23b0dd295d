"""Lines to the monitor and what they print."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from tests.debug.machines import ENTRY, HIGH_LOOP, machine, three_modes
from vmxon import __version__
from vmxon.debug.debugger import Debugger
from vmxon.debug.monitor import Monitor
from vmxon.debug.monitor.commands import COMMANDS, INFORMATION
from vmxon.debug.monitor.machine import DebuggedPc
from vmxon.devices.clock import VirtualClock
from vmxon.devices.keyboard import Ps2Keyboard
from vmxon.machine.pc import End, Limits, Pc


def monitor(pc: Pc | None = None) -> Monitor:
    return Monitor(DebuggedPc(Debugger(pc or machine("nop\nnop\nhlt"))))


def pc_of(talk: Monitor) -> Pc:
    assert isinstance(talk.machine, DebuggedPc)
    return talk.machine.pc


@pytest.mark.parametrize(
    ("line", "printed"),
    [
        ("p 1+2*3", "0x7"),
        ("p/d -1", "-1"),
        ("p/u ~0", "18446744073709551615"),
        ("print/x (0x10|1)<<4", "0x110"),
        ("p/d 7%4/1", "3"),
        ("p $rip", "0x10000"),
        ("p $eip+$cs", "0x10008"),
        ("p/c 0x41", "'A'"),
        ("p 017", "0xf"),
        ("p", "an address or number is missing"),
        ("p 1/0", "'1/0' divides by 0"),
        ("p 1 2", "'2' is not expected in '1 2'"),
        ("p (1", "'(1' ends where a number should be"),
        ("p *1", "'*' is not expected in '*1'"),
        ("p $nothing", "no register is called $nothing"),
        ("p hello", "'hello' is no number: write 0xb8000, $rip or $rsp+8"),
        ("p " + "-" * 100 + "1", "the expression is nested too deeply"),
        ("x/2bx 0x10000", "0000000000010000: 0x90 0x90"),
        ("xp/hx 0x10000", "0000000000010000: 0x9090"),
        ("x/1gd 0x10000", f"0000000000010000: {16027792:>20}"),
        ("x/3bo 0x10000", "0000000000010000: 0220 0220 0364"),
        ("x/2c 0x10000", "0000000000010000: '\\x90' '\\x90'"),
        ("x 0xf0000000", "Cannot access memory at 0xf0000000"),
        ("x/2i 0", "there is no disassembler here; ask gdb (-s, then x/i $pc)"),
        ("x/z 0", "/z is no format: write a count, one of x, d, u, o, c, and a size of b, h, w, g, such as /8xg"),
        ("x/99999 0", "99999 units are too many or none: 1 to 65536"),
        ("inof", "unknown command: 'inof'; did you mean info?"),
        ("info tbl", "unknown information: 'tbl'; did you mean tlb?"),
        ("frobnicate", "unknown command: 'frobnicate'; see help"),
        ("info status", "VM status: running"),
        ("info version", f"vmxon {__version__}"),
        ("info tlb", "PG disabled"),
        ("info vmx", "The processor is outside VMX operation."),
        ("stop now", "stop takes no argument, not 'now'"),
        ("sendkey", "sendkey needs keys, such as sendkey ret"),
        ("sendkey a long", "'long' is no time: write milliseconds, up to 60000"),
        ("sendkey ctrl-nokey", "no key is called 'nokey' in 'ctrl-nokey'; keys with its first letter: n, num_lock"),
        ("screendump", "screendump needs the name of a file"),
        ("screendump /nonexistent/x.png", "/nonexistent/x.png: No such file or directory"),
        ("memsave 0 1", "an address, a size and the name of a file are needed"),
        ("pmemsave 0xf0000000 4 /tmp/x", "Cannot access memory at 0xf0000000"),
        ("help sendkey", "sendkey KEYS [MILLISECONDS] -- press keys, such as a, kp_enter or ctrl-alt-delete, and release them"),
        ("help x", "x/FORMAT ADDRESS -- memory at a linear address, such as x/8xg $rsp"),
        ("", ""),
        ("\x1b[A", "unknown command: '\\x1b[A'; see help"),
    ],
)
def test_lines(line: str, printed: str) -> None:
    assert monitor().execute(line) == (f"{printed}\n" if printed else "")


def test_help_lists_every_word() -> None:
    text = monitor().execute("help") + monitor().execute("info")
    for name in (*COMMANDS, *INFORMATION):
        assert any(name in line.split(" -- ")[0].replace("/", " ").replace("|", " ").split() for line in text.splitlines())


def test_registers_follow_the_mode() -> None:
    talk = monitor(three_modes())
    text = talk.execute("info registers")
    assert text.startswith("EAX=00000000 EBX=00000000 ECX=00000000 EDX=")
    assert "EIP=00010000 EFL=00000002 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=0\n" in text
    assert "CS =0008 00000000 ffffffff 0000c09b\n" in text
    pc = pc_of(talk)
    pc.run(Limits(instructions=100_000))
    text = talk.execute("info registers")
    assert "RBX=6464646464646464" in text
    assert "R8 =00000000000003e8" in text
    assert "EFER=0000000000000500\n" in text


def test_pages_and_ranges() -> None:
    talk = monitor(three_modes())
    pc_of(talk).run(Limits(instructions=100_000))
    pages = talk.execute("info tlb").splitlines()
    assert pages == [
        "0000000000000000: 0000000000000000 --PDA---W",
        "0000000000200000: 0000000000200000 --P-----W",
        "ffff800000000000: 0000000000000000 --PDA---W",
        "ffff800000200000: 0000000000200000 --P-----W",
    ]
    assert talk.execute("info mem").splitlines() == [
        "0000000000000000-0000000000400000 0000000000400000 -rw",
        "ffff800000000000-ffff800000400000 0000000000400000 -rw",
    ]
    assert talk.execute(f"x/1bx {HIGH_LOOP:#x}") == talk.execute("xp/1bx 0x10100").replace("0000000000010100", f"{HIGH_LOOP:016x}")
    assert talk.execute("x 0x8000000000000000") == "Cannot access memory at 0x8000000000000000\n"


def test_interrupt_controllers() -> None:
    talk = monitor()
    assert talk.execute("info pic").startswith("pic0: irr=01 imr=b8 isr=00 hprio=0 irq_base=08 rr_sel=0 elcr=00 fnm=0\npic1: ")
    assert "processor priority 0x00" in talk.execute("info lapic")


VMX = """
    mov eax, cr4
    or eax, 0x2000
    mov cr4, eax
    mov ecx, 0x3a
    xor edx, edx
    mov eax, 5
    wrmsr
    mov ecx, 0x480
    rdmsr
    and eax, 0x7fffffff
    mov [0x6000], eax
    mov [0x7000], eax
    mov dword ptr [0x5000], 0x6000
    mov dword ptr [0x5008], 0x7000
    mov eax, cr0
    or eax, 0x80000021
    mov ebx, 0x8000
    mov cr3, ebx
    mov dword ptr [0x8000], 0x83
    mov edx, cr4
    or edx, 0x10
    mov cr4, edx
    mov cr0, eax
    vmxon [0x5000]
    vmclear [0x5008]
    vmptrld [0x5008]
    mov eax, 0x6806
    mov ebx, 0x1234
    vmwrite eax, ebx
    mov dx, 0xf4
    out dx, al
"""


def test_vmx_shows_the_current_vmcs() -> None:
    talk = monitor(machine(VMX))
    pc_of(talk).run(Limits(instructions=1000))
    lines = talk.execute("info vmx").splitlines()
    assert lines[:3] == [
        "The processor is in VMX root operation.",
        "VMXON region 0x0000000000006000",
        "VMCS 0x0000000000007000: clear, current",
    ]
    assert lines[3:] == [f"  {'GUEST_ES_BASE':<40} 0x1234"]


def test_stop_cont_reset_and_quit() -> None:
    pc = machine("1: inc eax\njmp 1b")
    talk, said = monitor(pc), []
    pc.post(lambda: said.append(talk.execute("stop") + talk.execute("info status")))
    pc.post(lambda: said.append(talk.execute("cont") + talk.execute("info status")))
    pc.post(lambda: (said.append(talk.execute("system_reset")), pc.resume(100)))
    pc.on_pause = lambda: said.append(talk.execute("quit"))
    pc.run()
    assert said == ["VM status: paused\n", "VM status: running\n", "", ""]
    assert pc.end is End.QUIT


def test_keys_reach_the_guest_and_are_held() -> None:
    pc = machine("1: in al, 0x64\ntest al, 1\njz 1b\nin al, 0x60\nmov [0x5000], al\nmov dx, 0xf4\nout dx, al")
    talk = monitor(pc)
    assert talk.execute("sendkey kp_enter 300") == ""
    pc.board.keyboard.configuration = pc.board.keyboard.configuration.replace(keyboard_off=False)
    pc.run(Limits(instructions=10_000_000))
    assert pc.processor.engine.read_physical(0x5000, 1) == b"\xe0"
    clock = VirtualClock()
    keyboard = Ps2Keyboard(clock, lambda: None)
    keyboard.send_key("a", 300_000_000)
    clock.run_until(300_000_000)
    assert list(keyboard.queue) == [0x1C]
    clock.run_until(400_000_000)
    assert list(keyboard.queue) == [0x1C, 0xF0, 0x1C]


def test_the_power_button_is_pressed() -> None:
    talk = monitor()
    talk.execute("system_powerdown")
    assert talk.machine.board.power.events.power_button


def test_a_picture_of_the_screen(tmp_path: Path) -> None:
    talk = monitor()
    pc_of(talk).processor.engine.write_physical(0xB8000, b"A\x1f")
    assert talk.execute(f"screendump {tmp_path / 'screen.png'}") == ""
    data = (tmp_path / "screen.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")) == (640, 400)
    start = data.index(b"IDAT") + 4
    lines = zlib.decompress(data[start : data.index(b"IEND") - 8])
    assert set(lines[1:9]) == {1}, "blue above the letter"
    assert 15 in lines[641 * 11 + 1 : 641 * 11 + 9], "white on the base line"


def test_memory_goes_to_files(tmp_path: Path) -> None:
    talk = monitor()
    assert talk.execute(f"memsave {ENTRY:#x} 3 {tmp_path / 'a'}") == ""
    assert talk.execute(f'pmemsave {ENTRY:#x} 3 "{tmp_path / "b"}"') == ""
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == b"\x90\x90\xf4"
