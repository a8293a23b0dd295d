"""The bare machine as a whole: how it is configured, what RESET does, how a run ends, what answers outside memory."""

import struct
from collections.abc import Callable

import pytest

from tests.harness import assemble
from vmxon.devices.bus import Device, reads, writes
from vmxon.errors import ConfigurationError, TripleFault
from vmxon.machine.configuration import DebugExitPorts, PcConfiguration
from vmxon.machine.loader.image import BootImage, MemoryWrite
from vmxon.machine.loader.information import CONVENTIONAL_END
from vmxon.machine.pc import End, Limits, Pc

ENTRY = 0x10000
LEAVE = "mov dx, 0xf4\nmov al, 1\nout dx, al\n"
RESET = "mov al, 0xfe\nout 0x64, al\nhlt\n"
COUNT = "inc dword ptr [0x5000]\nmov eax, [0x5000]\ncmp eax, 3\nje end\n"


def kernel(code: str) -> BootImage:
    data = assemble(code, 32)
    return BootImage((MemoryWrite(ENTRY, data, len(data)),), ENTRY, eax=0x1234, ebx=0, esp=0x9000)


def machine(code: str, **configuration: object) -> Pc:
    return Pc(PcConfiguration(memory_size=4 << 20, kernel=kernel(code), **configuration))


def run(pc: Pc) -> Pc:
    pc.run(Limits(instructions=100_000))
    return pc


@pytest.mark.parametrize("reset", [RESET, "mov al, 1\nout 0x92, al\nhlt\n"], ids=["8042", "port 92"])
def test_reset_boots_again_with_memory_kept(reset: str) -> None:
    pc = run(machine(f"{COUNT}{reset}end: {LEAVE}"))
    assert (pc.end, pc.exit_value) == (End.DEBUG_EXIT, 3)
    assert pc.processor.engine.read_physical(0x5000, 1) == b"\3"


def test_reset_leaves_nothing_of_the_run_before() -> None:
    spoil = (
        "mov eax, cr4\nor eax, 0x600\nmov cr4, eax\n"
        "mov ecx, 0xc0000082\nmov eax, 7\nxor edx, edx\nwrmsr\nfninit\nfld1\npcmpeqd xmm0, xmm0\n"
        "mov dword ptr [0xfee00080], 0x50\nmov al, 0x34\nout 0x43, al\nmov al, 5\nout 0x40, al\nout 0x40, al\nmov al, 0x7f\nout 0x21, al\n"
    )
    pc, fresh = machine(f"{spoil}{RESET}", no_reboot=True), machine(LEAVE)
    run(pc)
    assert pc.end is End.RESET
    pc.reset()
    for name in ("cr4", "lstar", "cr8", "x87_status", "x87_top", "x87_tag", "rip", "apic_page", "interrupt_line", "memory_latch_count"):
        assert getattr(pc.state, name) == getattr(fresh.state, name), name
    assert pc.state.xmm[0] == 0
    assert pc.state.gpr[0] == 0x1234
    assert pc.board.pic.primary.state() == fresh.board.pic.primary.state()
    assert pc.apic.apic.task_priority == 0
    assert pc.board.pit.channels[0].count == fresh.board.pit.channels[0].count


def test_no_reboot_ends_the_run() -> None:
    pc = machine(f"{COUNT}{RESET}end: {LEAVE}", no_reboot=True)
    assert run(pc).run() is None
    assert pc.end is End.RESET


def test_triple_fault_stops_or_resets() -> None:
    code = f"{COUNT}ud2\nend: {LEAVE}"
    with pytest.raises(TripleFault):
        run(machine(code))
    assert run(machine(code, triple_fault_resets=True)).exit_value == 3


def test_power_off_ends_the_run() -> None:
    class Button(Device, span=1):
        def __init__(self, press: Callable[[], None]) -> None:
            self.press = press

        @writes(0)
        def write(self, value: int) -> None:
            self.press()

    pc = machine("out 0xb0, al\nhlt\n")
    pc.board.bus.attach(0xB0, Button(pc.power_off))
    assert run(pc).end is End.POWER_OFF
    assert pc.exit_value is None


class Echo(Device, span=8):
    """A register of four bytes, and one of eight."""

    def __init__(self) -> None:
        self.word, self.wide = 0x1122_3344, 0

    @reads(0, 4)
    def read(self) -> int:
        return self.word

    @writes(0, 4)
    def write(self, value: int) -> None:
        self.word = value

    @writes(0, 8)
    def write_wide(self, value: int) -> None:
        self.wide = value


def test_devices_answer_in_memory() -> None:
    pc = machine(
        "mov esi, [0xfed00000]\nmov edi, [0xfed01000]\nmov dword ptr [0xfed00000], 5\nfninit\nfild qword ptr [0x100000]\n"
        f"fistp qword ptr [0xfed00000]\nmov byte ptr [0xfed01000], 1\n{LEAVE}"
    )
    echo = Echo()
    pc.board.memory_bus.attach(0xFED0_0000, echo)
    pc.processor.engine.write_physical(0x100000, bytes(range(8)))
    run(pc)
    assert (pc.state.gpr[6], pc.state.gpr[7]) == (0x1122_3344, 0xFFFF_FFFF)
    assert (echo.word, echo.wide) == (5, 0x0706_0504_0302_0100)
    assert pc.board.memory_bus.claims(0xFED0_0000)
    assert not pc.board.memory_bus.claims(0xFED0_1000)
    assert pc.board.memory_bus.unclaimed_writes == {0xFED0_1000: 1}


@pytest.mark.parametrize(("base", "size", "port", "ends"), [(0xF4, 4, 0xF7, True), (0x501, 2, 0x502, True), (0x501, 2, 0x503, False)])
def test_debug_exit_answers_where_it_is_configured(base: int, size: int, port: int, ends: bool) -> None:
    code = f"mov dx, {port:#x}\nmov al, 7\nout dx, al\n{RESET}"
    pc = machine(code, debug_exit=DebugExitPorts(base, size), no_reboot=True)
    assert run(pc).exit_value == (15 if ends else None)


def test_serial_ports() -> None:
    outputs = [bytearray(), bytearray()]
    code = "".join(f"mov dx, {port:#x}\nmov al, {port & 0xFF:#x}\nout dx, al\n" for port in (0x3F8, 0x2F8, 0x3E8)) + LEAVE
    configuration = PcConfiguration(memory_size=4 << 20, kernel=kernel(code), serial_ports=3)
    run(Pc(configuration, serial=[output.append for output in outputs]))
    assert outputs == [b"\xf8", b"\xf8"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"memory_size": 0x1800}, "0x1800 bytes of memory, expected whole pages of 4096 bytes"),
        ({"drives": (None,) * 5}, "5 drives, expected at most 4"),
        ({"serial_ports": 5}, "5 serial ports, expected at most 4"),
    ],
)
def test_what_cannot_be_built(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{message}$"):
        PcConfiguration(**wrong)


def test_the_test_device_is_configured() -> None:
    code = f"mov dword ptr [0xff000000], 5\nmov esi, [0xff000000]\nmov al, 7\nout 0xe0, al\nin al, 0xe0\nmovzx edi, al\n{LEAVE}"
    with_device, without = run(machine(code, test_device=True)), run(machine(code))
    assert [with_device.state.gpr[n] for n in (6, 7)] == [5, 7]
    assert [without.state.gpr[n] for n in (6, 7)] == [0xFFFF_FFFF, 0xFF]
    with_device.reset()
    assert with_device.board.memory_bus.read(0xFF00_0000, 4) == 0


@pytest.mark.parametrize("number", [5, 10, 20])
def test_the_test_device_drives_the_wires(number: int) -> None:
    pc = machine(f"mov dx, {0x2000 + number}\nmov al, 1\nout dx, al\n{LEAVE}", test_device=True)
    pc.board.io_apic.entries[number] = 0x55
    run(pc)
    assert pc.apic.apic.requests.highest == 0x55
    assert [line.level for line in pc.board.lines].index(True) in (0, number)


def test_a_kernel_that_no_firmware_starts_finds_the_data_area_and_the_services() -> None:
    pc = Pc(PcConfiguration(memory_size=8 << 20))
    read = pc.processor.engine.read_physical
    assert int.from_bytes(read(0x40E, 2), "little") << 4 == CONVENTIONAL_END
    assert int.from_bytes(read(0x413, 2), "little") << 10 == CONVENTIONAL_END
    offset, segment = struct.unpack("<HH", read(4 * 0x15, 4))
    assert read(segment * 16 + offset, 16) != bytes(16)


def test_the_firmware_is_read_only_and_the_tables_are_not() -> None:
    code = f"mov esi, [0xfe000]\nmov dword ptr [0xfe000], 1\nmov edi, [0xfe000]\nmov dword ptr [0xe8000], 5\nmov ebx, [0xe8000]\n{LEAVE}"
    pc = run(machine(code))
    firmware = pc.state.gpr[6]
    assert firmware == pc.state.gpr[7] not in (0, 1)
    assert pc.state.gpr[3] == 5
    pc.reset()
    assert pc.processor.engine.read_physical(0xFE000, 4) == firmware.to_bytes(4, "little")
