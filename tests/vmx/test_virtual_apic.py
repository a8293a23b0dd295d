"""APIC virtualization (Vol. 3C ch. 30), by guests in assembly."""

import struct

import pytest

from tests.vmx.vmx_bench import GUEST, HANDLERS, IDT, VmxBench
from tests.vmx.witness import LONG, PinBased, PrimaryExit, PrimaryProcessorBased, SecondaryProcessorBased, changed, having
from vmxon.processor.state import HostRequest
from vmxon.vmx.exit_reasons import ExitReason as R
from vmxon.vmx.fields import VmcsField as F

VIRTUAL, ACCESS, DESCRIPTOR, BITMAP = 0x50000, 0x51000, 0x52000, 0x53000
SHADOW = PrimaryProcessorBased.use_tpr_shadow
PAGE = SecondaryProcessorBased.virtualize_apic_accesses
X2APIC = SecondaryProcessorBased.virtualize_x2apic_mode
REGISTERS = SecondaryProcessorBased.apic_register_virtualization
DELIVERY = SecondaryProcessorBased.virtual_interrupt_delivery
EXTERNAL = PinBased.external_interrupt_exiting
ADDRESSES = {F.VIRTUAL_APIC_ADDRESS: VIRTUAL, F.APIC_ACCESS_ADDRESS: ACCESS, F.MSR_BITMAP_ADDRESS: BITMAP}
TABLES = {F.GUEST_GDTR_BASE: 0x18000, F.GUEST_IDTR_BASE: IDT, F.GUEST_IDTR_LIMIT: 0xFFF, F.GUEST_TR_BASE: 0x1C000}
ENABLED = {F.GUEST_RFLAGS: 0x202}


class Guest(VmxBench):
    """A guest with a virtual-APIC page; an interrupt's handler is a HLT at HANDLERS + 16 n."""

    def __init__(self, code, *controls, fields=(), page=()):
        super().__init__()
        self.requests, self.vector = [], 0
        self.install_tables()
        for offset, value in page:
            self.engine.write_physical(VIRTUAL + offset, struct.pack("<I", value))
        for vector in range(256):
            self.engine.write_physical(HANDLERS + 16 * vector, b"\x0f\x01\xc1")
        base = having(LONG, SHADOW, PrimaryProcessorBased.use_msr_bitmaps, *controls)
        self.guest(code + "\nvmcall", changed(base, ADDRESSES, TABLES, dict(fields)))

    def word(self, offset):
        return struct.unpack("<I", self.engine.read_physical(VIRTUAL + offset, 4))[0]

    def run(self):
        """Launch; answer for an interrupt controller that asserts `self.vector`."""
        request = self.launch()
        while request in (HostRequest.ACKNOWLEDGE, HostRequest.MSR_WRITE):
            self.requests.append((request, self.state.request_address))
            if request == HostRequest.ACKNOWLEDGE:
                self.state.acknowledged, self.state.acknowledged_vector, self.state.interrupt_line = 1, self.vector, 0
            request = self.processor.run(1000)
        return R(self.reason & 0xFFFF), self.qualification


# TPR shadow


def test_cr8_is_the_shadow():
    guest = Guest("mov rbx, cr8\nmov eax, 9\nmov cr8, rax\nmov rcx, cr8", page=[(0x80, 0x35)])
    assert guest.run()[0] == R.VMCALL
    assert (guest.state.gpr[3], guest.state.gpr[1], guest.word(0x80), guest.state.cr8) == (3, 9, 0x90, 0)


def test_cr8_with_reserved_bits_faults():
    guest = Guest("mov eax, 16\nmov cr8, rax", fields={F.EXCEPTION_BITMAP: 1 << 13})
    assert guest.run()[0] == R.EXCEPTION_OR_NMI
    assert guest.word(0x80) == 0


@pytest.mark.parametrize(("priority", "reason"), [(4, R.VMCALL), (3, R.VMCALL), (2, R.TPR_BELOW_THRESHOLD)])
def test_threshold_is_a_trap(priority, reason):
    guest = Guest(f"mov eax, {priority}\nmov cr8, rax\nnop", fields={F.TPR_THRESHOLD: 3}, page=[(0x80, 0x50)])
    assert guest.run()[0] == reason
    assert guest[F.GUEST_RIP] == GUEST + (9 if reason != R.VMCALL else 10)


def test_threshold_at_entry():
    guest = Guest("nop", PAGE, fields={F.TPR_THRESHOLD: 6}, page=[(0x80, 0x50)])
    assert guest.run()[0] == R.TPR_BELOW_THRESHOLD
    assert guest[F.GUEST_RIP] == GUEST


# The APIC-access page


@pytest.mark.parametrize(
    ("code", "controls", "qualification"),
    [
        ("mov eax, [0x51080]", (PAGE,), None),
        ("mov al, [0x51081]", (PAGE,), 0x081),
        ("mov rax, [0x51080]", (PAGE,), 0x080),
        ("mov ax, [0x51083]", (PAGE,), 0x083),
        ("mov eax, [0x51020]", (PAGE,), 0x020),
        ("mov eax, [0x51020]", (PAGE, REGISTERS), None),
        ("mov eax, [0x51030]", (PAGE, REGISTERS), None),
        ("mov eax, [0x51270]", (PAGE, REGISTERS), None),
        ("mov eax, [0x510A0]", (PAGE, REGISTERS), 0x0A0),
        ("mov eax, [0x51390]", (PAGE, REGISTERS), 0x390),
        ("mov eax, [0x51400]", (PAGE, REGISTERS), 0x400),
        ("mov [0x51030], eax", (PAGE, REGISTERS), 0x1030),
        ("mov [0x51100], eax", (PAGE, REGISTERS), 0x1100),
        ("mov [0x510B0], eax", (PAGE,), 0x10B0),
        ("mov [0x51081], al", (PAGE,), 0x1081),
        ("mov [0x51301], al", (PAGE, DELIVERY, EXTERNAL), 0x1301),
        ("mov al, [0x51081]", (PAGE, REGISTERS), None),
        ("or dword ptr [0x51020], 1", (PAGE,), 0x0020),
        ("mov eax, 0x51000\njmp rax", (PAGE,), 0x2000),
        ("mov esp, 0x51088\npush rax", (PAGE,), 0x1080),
        ("mov esp, 0x51ffc\nmov rax, [rsp]", (PAGE,), 0x0FFC),
        ("mov esp, 0x51100\nint3", (PAGE,), 0x30F8),
    ],
)
def test_accesses(code, controls, qualification):
    guest = Guest(code, *controls, page=[(offset, 0xA5 + offset) for offset in (0x20, 0x30, 0x80, 0x270)])
    expected = (R.VMCALL, 0) if qualification is None else (R.APIC_ACCESS, qualification)
    assert guest.run() == expected
    if qualification is None and "eax, [" in code:
        offset = int(code.split("0x51")[1][:3], 16)
        assert guest.state.gpr[0] == 0xA5 + offset


@pytest.mark.parametrize(
    ("offset", "controls", "value", "reason", "kept"),
    [
        (0x080, (PAGE,), 0x1234_5678, R.VMCALL, 0x78),
        (0x310, (PAGE, REGISTERS), 0x1234_5678, R.VMCALL, 0x1200_0000),
        (0x0D0, (PAGE, REGISTERS), 0x1234_5678, R.APIC_WRITE, 0x1234_5678),
        (0x300, (PAGE, REGISTERS), 0x4_0041, R.APIC_WRITE, 0x4_0041),
        (0x380, (PAGE, REGISTERS), 0x99, R.APIC_WRITE, 0x99),
        (0x0B0, (PAGE, REGISTERS), 0x99, R.APIC_WRITE, 0x99),
    ],
)
def test_writes(offset, controls, value, reason, kept):
    guest = Guest(f"mov dword ptr [{ACCESS + offset:#x}], {value:#x}\nnop", *controls)
    assert guest.run()[0] == reason
    assert guest.word(offset) == kept
    assert guest.engine.read_physical(ACCESS + offset, 4) == bytes(4)
    if reason == R.APIC_WRITE:
        assert (guest.qualification, guest[F.GUEST_RIP]) == (offset, GUEST + 11)


@pytest.mark.parametrize(("offset", "exits"), [(0x080, False), (0x081, True), (0x083, True), (0x0B1, True), (0x301, True), (0x312, False)])
def test_writes_of_a_part_count_by_their_own_offset(offset, exits):
    guest = Guest(f"mov byte ptr [{ACCESS + offset:#x}], 0x12\nnop", EXTERNAL, PAGE, REGISTERS, DELIVERY)
    assert guest.run() == ((R.APIC_WRITE, offset) if exits else (R.VMCALL, 0))


def test_a_write_of_an_msr_is_64_bits_wide():
    guest = Guest(wrmsr(0x808, 0x35), X2APIC, page=[(0x80, 0xFFFF_FFFF), (0x84, 0xFFFF_FFFF)])
    assert guest.run()[0] == R.VMCALL
    assert (guest.word(0x80), guest.word(0x84)) == (0x35, 0)


def test_modification_reads_and_writes():
    guest = Guest("or dword ptr [0x51080], 5", PAGE, page=[(0x80, 0x30)])
    assert guest.run()[0] == R.VMCALL
    assert guest.word(0x80) == 0x35


def test_a_store_that_faults_later_leaves_nothing():
    code = "mov esi, 0x20000\nmov edi, 0x51080\nmov dword ptr [0x20000], 0x77\nmovsd\nmov esp, 0x30000"
    guest = Guest(code, PAGE, page=[(0x80, 0x10)])
    assert guest.run()[0] == R.VMCALL
    assert guest.word(0x80) == 0x77


# Virtual-interrupt delivery


def delivered(guest):
    """The vector whose handler the guest has reached."""
    vector, rest = divmod(guest[F.GUEST_RIP] - HANDLERS, 16)
    return vector if not rest and 0 <= vector < 256 else None


@pytest.mark.parametrize(
    ("requested", "served", "task", "flags", "vector"),
    [
        *((0x41, 0, 0, 0x202, 0x41), (0x41, 0, 0x40, 0x202, None), (0x41, 0x35, 0x20, 0x202, 0x41)),
        *((0x41, 0x45, 0, 0x202, None), (0x41, 0, 0, 0x2, None), (0, 0, 0, 0x202, None)),
    ],
)
def test_delivery_at_entry(requested, served, task, flags, vector):
    page = [(0x80, task), (0x200 + (requested >> 5 << 4), 1 << (requested & 31) if requested else 0)]
    fields = {F.GUEST_INTERRUPT_STATUS: requested | served << 8, F.GUEST_RFLAGS: flags}
    guest = Guest("nop", EXTERNAL, DELIVERY, fields=fields, page=page)
    assert guest.run()[0] == R.VMCALL
    assert delivered(guest) == vector
    if vector:
        assert guest[F.GUEST_INTERRUPT_STATUS] == vector << 8
        assert (guest.word(0x220), guest.word(0x120), guest.word(0xA0)) == (0, 2, 0x40)


def test_window_exiting_holds_virtual_interrupts_back():
    window = PrimaryProcessorBased.interrupt_window_exiting
    fields = {F.GUEST_INTERRUPT_STATUS: 0x41, **ENABLED}
    guest = Guest("nop", EXTERNAL, DELIVERY, window, fields=fields, page=[(0x220, 2)])
    assert guest.run()[0] == R.INTERRUPT_WINDOW
    assert guest[F.GUEST_INTERRUPT_STATUS] == 0x41


def test_lower_priority_by_cr8_delivers():
    fields = {F.GUEST_INTERRUPT_STATUS: 0x41, **ENABLED}
    guest = Guest("xor eax, eax\nmov cr8, rax\nnop", EXTERNAL, DELIVERY, fields=fields, page=[(0x80, 0x50), (0x220, 2)])
    guest.run()
    assert delivered(guest) == 0x41


def test_virtual_interrupt_ends_halt():
    fields = {F.GUEST_INTERRUPT_STATUS: 0x41, F.GUEST_ACTIVITY_STATE: 1, **ENABLED}
    guest = Guest("nop", EXTERNAL, DELIVERY, fields=fields, page=[(0x220, 2)])
    guest.run()
    assert (delivered(guest), guest[F.GUEST_ACTIVITY_STATE]) == (0x41, 0)


@pytest.mark.parametrize(("bitmap", "reason"), [(0, R.VMCALL), (2, R.VIRTUALIZED_EOI)])
def test_end_of_interrupt(bitmap, reason):
    fields = {F.GUEST_INTERRUPT_STATUS: 0x4100, F.EOI_EXIT_BITMAP_1: bitmap}
    page = [(0x120, 2), (0x110, 1 << 5)]
    guest = Guest("mov dword ptr [0x510b0], 0\nnop", EXTERNAL, PAGE, DELIVERY, fields=fields, page=page)
    assert guest.run() == (reason, 0x41 if bitmap else 0)
    assert (guest[F.GUEST_INTERRUPT_STATUS], guest.word(0x120), guest.word(0xA0)) == (0x2500, 0, 0x20)


@pytest.mark.parametrize(
    ("command", "reason", "vector"),
    [
        *((0x4_0041, R.VMCALL, 0x41), (0x4_000F, R.APIC_WRITE, None), (0x8_0041, R.APIC_WRITE, None)),
        *((0x4_0441, R.APIC_WRITE, None), (0x4_8041, R.APIC_WRITE, None), (0x0_0041, R.APIC_WRITE, None)),
    ],
)
def test_self_interrupt_by_command(command, reason, vector):
    guest = Guest(f"mov dword ptr [0x51300], {command:#x}\nnop", EXTERNAL, PAGE, DELIVERY, fields=ENABLED)
    assert guest.run()[0] == reason
    assert delivered(guest) == vector


# x2APIC MSRs


def wrmsr(index, value):
    return f"mov ecx, {index:#x}\nmov eax, {value & 0xFFFF_FFFF:#x}\nmov edx, {value >> 32:#x}\nwrmsr"


@pytest.mark.parametrize(
    ("code", "controls", "reason", "word"),
    [
        (wrmsr(0x808, 0x35), (X2APIC,), R.VMCALL, (0x80, 0x35)),
        (wrmsr(0x808, 0x135), (X2APIC,), R.EXCEPTION_OR_NMI, (0x80, 0)),
        (wrmsr(0x80B, 0), (X2APIC,), R.EXCEPTION_OR_NMI, (0xB0, 0)),
        (wrmsr(0x80B, 0), (X2APIC, DELIVERY, EXTERNAL), R.VMCALL, (0xB0, 0)),
        (wrmsr(0x80B, 1), (X2APIC, DELIVERY, EXTERNAL), R.EXCEPTION_OR_NMI, (0xB0, 0)),
        (wrmsr(0x83F, 0x41), (X2APIC, DELIVERY, EXTERNAL), R.VMCALL, (0x220, 2)),
        (wrmsr(0x83F, 0x0F), (X2APIC, DELIVERY, EXTERNAL), R.APIC_WRITE, (0x3F0, 0x0F)),
        (wrmsr(0x83F, 0x141), (X2APIC, DELIVERY, EXTERNAL), R.EXCEPTION_OR_NMI, (0x3F0, 0)),
        (wrmsr(0x838, 5), (X2APIC, DELIVERY, EXTERNAL), R.EXCEPTION_OR_NMI, (0x380, 0)),
    ],
)
def test_writes_of_msrs(code, controls, reason, word):
    guest = Guest(code, *controls, fields={F.EXCEPTION_BITMAP: 1 << 13})
    assert guest.run()[0] == reason
    offset, value = word
    assert guest.word(offset) == value


@pytest.mark.parametrize(
    ("index", "controls", "reason"),
    [
        *((0x808, (X2APIC,), R.VMCALL), (0x803, (X2APIC,), R.EXCEPTION_OR_NMI), (0x803, (X2APIC, REGISTERS), R.VMCALL)),
        *((0x8FF, (X2APIC, REGISTERS), R.VMCALL), (0x808, (), R.EXCEPTION_OR_NMI)),
    ],
)
def test_reads_of_msrs(index, controls, reason):
    offset = (index & 0xFF) << 4
    page = [(offset, 0x1234_5678), (offset + 4, 0x9ABC_DEF0)]
    guest = Guest(f"mov ecx, {index:#x}\nrdmsr", *controls, fields={F.EXCEPTION_BITMAP: 1 << 13}, page=page)
    assert guest.run()[0] == reason
    if reason == R.VMCALL:
        assert (guest.state.gpr[0], guest.state.gpr[2]) == (0x1234_5678, 0x9ABC_DEF0)


# Posted interrupts


def posted(notification, arriving):
    fields = {F.POSTED_INTERRUPT_NOTIFICATION_VECTOR: notification, F.POSTED_INTERRUPT_DESCRIPTOR_ADDRESS: DESCRIPTOR, **ENABLED}
    controls = (EXTERNAL, PinBased.posted_interrupts, DELIVERY, PrimaryExit.acknowledge_interrupt)
    guest = Guest("nop", *controls, fields=fields, page=[(0x200, 0)])
    guest.engine.write_physical(DESCRIPTOR, struct.pack("<8IQ", 0, 1 << 3, 1 << 1, 0, 0, 0, 0, 0, 0xFF_0001))
    guest.state.interrupt_line, guest.vector = 1, arriving
    return guest


def test_posted_interrupts_are_delivered():
    guest = posted(0xF2, 0xF2)
    assert guest.run()[0] == R.VMCALL
    assert (delivered(guest), guest[F.GUEST_INTERRUPT_STATUS]) == (0x41, 0x4123)
    assert guest.requests[-1] == (HostRequest.MSR_WRITE, 0x80B), "the notification gets its EOI"
    assert (guest.word(0x210), guest.word(0x220)) == (1 << 3, 0)
    assert guest.engine.read_physical(DESCRIPTOR, 40) == bytes(32) + struct.pack("<Q", 0xFF_0000)


def test_other_vectors_exit():
    guest = posted(0xF2, 0x50)
    assert guest.run()[0] == R.EXTERNAL_INTERRUPT
    assert guest[F.VM_EXIT_INTERRUPTION_INFORMATION] == 0x8000_0050
    assert guest.engine.read_physical(DESCRIPTOR + 4, 1) == b"\x08"
