"""A program in Python in VMX root operation: each instruction's outcomes, and the way into a guest and back."""

import struct

import pytest

from vmxon.arch.exceptions import Vector
from vmxon.errors import ConfigurationError
from vmxon.machine.outcome import Exited, FailedInvalid, FailedValid, Faulted, Succeeded
from vmxon.machine.root import PYTHON_RIP, RootProcessor, bare_processor
from vmxon.vmx.errors import InstructionError
from vmxon.vmx.fields import VmcsField

REGION, VMCS, OTHER = 0x10_0000, 0x10_1000, 0x10_2000


@pytest.fixture
def root() -> RootProcessor:
    return bare_processor("4M")


@pytest.fixture
def ready(root: RootProcessor) -> RootProcessor:
    """In VMX operation, no VMCS current."""
    root.write_cr(4, 0x2020)
    root.wrmsr(0x3A, 0b101)
    for region in (REGION, VMCS, OTHER):
        root.write(region, struct.pack("<I", root.rdmsr(0x480).value & 0x7FFF_FFFF))  # type: ignore[union-attr]
    assert root.vmxon(REGION).succeeded
    return root


@pytest.fixture
def current(ready: RootProcessor) -> RootProcessor:
    """With a current VMCS."""
    assert ready.vmclear(VMCS).succeeded
    assert ready.vmptrld(VMCS).succeeded
    return ready


def test_outside_vmx_operation_instructions_are_undefined(root: RootProcessor) -> None:
    for outcome in (root.vmread(0), root.vmclear(VMCS), root.vmlaunch(), root.vmcall(), root.vmxoff(), root.invept(2)):
        assert isinstance(outcome, Faulted)
        assert outcome.vector is Vector.UD
    assert str(root.vmxon(REGION)) == "VMXON: #UD"


def test_vmxon_wants_permission(root: RootProcessor) -> None:
    root.write_cr(4, 0x2020)
    assert str(root.vmxon(REGION)) == "VMXON: #GP(0x0)"


def test_without_a_vmcs_failures_have_no_number(ready: RootProcessor) -> None:
    assert ready.vmread(VmcsField.GUEST_RIP) == FailedInvalid("VMREAD")
    assert ready.vmlaunch() == FailedInvalid("VMLAUNCH")
    assert ready.vmptrst() == Succeeded("VMPTRST", (1 << 64) - 1)


def test_fields_are_read_and_written(current: RootProcessor) -> None:
    assert current.vmptrst() == Succeeded("VMPTRST", VMCS)
    assert current.vmwrite(VmcsField.GUEST_RIP, 0x1234_5678_9ABC_DEF0).succeeded
    assert current.vmread(VmcsField.GUEST_RIP) == Succeeded("VMREAD", 0x1234_5678_9ABC_DEF0)
    assert current.vmwrite(VmcsField.GUEST_ES_SELECTOR, 0x1_2345).succeeded
    assert current.vmread(VmcsField.GUEST_ES_SELECTOR) == Succeeded("VMREAD", 0x2345)
    current.set_fields(VmcsField.GUEST_RSP, 5, VmcsField.GUEST_CR3, 6)
    assert current.fields((VmcsField.GUEST_CR3, VmcsField.GUEST_RSP)) == [6, 5]
    with pytest.raises(KeyError, match="no field 0x7777"):
        current.fields((VmcsField.GUEST_RIP, 0x7777))


def test_failures_have_a_number_and_an_explanation(current: RootProcessor) -> None:
    assert current.vmwrite(VmcsField.EXIT_REASON, 0) == FailedValid("VMWRITE", InstructionError.VMWRITE_READ_ONLY)
    assert current.vmread(0x7777) == FailedValid("VMREAD", InstructionError.UNSUPPORTED_FIELD)
    assert current.vmclear(REGION) == FailedValid("VMCLEAR", InstructionError.VMCLEAR_VMXON_POINTER)
    assert current.vmptrld(VMCS + 1) == FailedValid("VMPTRLD", InstructionError.VMPTRLD_ADDRESS)
    assert current.vmcall() == FailedValid("VMCALL", InstructionError.VMCALL_IN_ROOT)
    assert current.invvpid(9) == FailedValid("INVVPID", InstructionError.INVALID_OPERAND)
    assert current.vmxon(REGION) == FailedValid("VMXON", InstructionError.VMXON_IN_ROOT)
    resumed = current.vmresume()
    assert str(resumed) == (
        "VMRESUME: VMfailValid 5, VMRESUME found a VMCS whose launch state is not launched; "
        "the first entry must be VMLAUNCH, and so must the first after VMCLEAR"
    )


def test_a_failed_entry_names_the_rule(current: RootProcessor) -> None:
    outcome = current.vmlaunch()
    assert isinstance(outcome, FailedValid)
    assert outcome.error is InstructionError.ENTRY_CONTROLS
    assert ".must_be_one: The " in outcome.rule
    assert str(outcome).startswith("VMLAUNCH: VMfailValid 7, VM entry found a control field that is not allowed; broken rule ")


def test_instructions_leave_the_registers_alone(current: RootProcessor) -> None:
    general = [n for n in range(16) if n != 4]
    for number in general:
        current.registers[number] = 0x1111 * number
    current.vmread(VmcsField.GUEST_RIP)
    current.rdmsr(0x480)
    current.rdmsr(0x1234_5678)
    current.cpuid(0)
    current.read_cr(0)
    current.vmread(0x7777)
    assert [current.registers[number] for number in general] == [0x1111 * number for number in general]


def test_invalidations_and_the_way_out(current: RootProcessor) -> None:
    assert current.invept(2).succeeded
    assert current.invvpid(2).succeeded
    assert current.vmxoff().succeeded
    assert str(current.vmxoff()) == "VMXOFF: #UD"


@pytest.fixture
def launchable(current: RootProcessor) -> RootProcessor:
    """With a guest in 64-bit mode without EPT: it shares our page tables; code at 3 MiB."""
    from vmxon.hypervisor.memory.page_manager import PageManager
    from vmxon.hypervisor.operation.vmcs import new_bitmaps, write_controls, write_guest_state, write_host_state

    pages = PageManager(4 << 20, 0x20_0000)
    write_controls(current, new_bitmaps(current, pages), 0)
    write_host_state(current)
    write_guest_state(current)
    current.set_fields(
        *(VmcsField.SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS, 0),
        *(VmcsField.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS, 0x7401_E172 | 1 << 7),
        *(VmcsField.GUEST_CR0, current.read_cr(0).value),  # type: ignore[union-attr]
        *(VmcsField.GUEST_CR3, current.read_cr(3).value),  # type: ignore[union-attr]
        *(VmcsField.GUEST_CR4, current.read_cr(4).value),  # type: ignore[union-attr]
        *(VmcsField.GUEST_IA32_EFER, 0x500),
        *(VmcsField.GUEST_CS_ACCESS_RIGHTS, 0xA09B),
        *(VmcsField.GUEST_RIP, 0x30_0000),
        *(VmcsField.PIN_BASED_VM_EXECUTION_CONTROLS, 0x16),
    )
    (entry,) = current.fields((VmcsField.VM_ENTRY_CONTROLS,))
    current.set_fields(VmcsField.VM_ENTRY_CONTROLS, entry | 1 << 9)
    return current


def test_vmlaunch_returns_the_exit(launchable: RootProcessor) -> None:
    launchable.write(0x30_0000, bytes.fromhex("b8 01000000  0fa2  f4"))  # mov eax, 1; cpuid; hlt
    outcome = launchable.vmlaunch()
    assert isinstance(outcome, Exited), str(outcome)
    assert str(outcome) == "VMLAUNCH: VM exit 10, CPUID, at RIP 0x300005"
    assert (outcome.instruction_length, launchable.registers[0]) == (2, 1)
    launchable.set_fields(VmcsField.GUEST_RIP, outcome.guest_rip + outcome.instruction_length)
    assert str(launchable.vmresume()) == "VMRESUME: VM exit 12, HLT, at RIP 0x300007"
    assert launchable.vmlaunch() == FailedValid("VMLAUNCH", InstructionError.VMLAUNCH_NOT_CLEAR)
    launchable.vmwrite(VmcsField.GUEST_RFLAGS, 0)
    failed = launchable.vmresume()
    assert isinstance(failed, Exited)
    assert failed.entry_failed
    assert "broken rule guest." in str(failed)


def test_a_guest_may_run_at_the_address_that_is_pythons(launchable: RootProcessor) -> None:
    """The linear address of PYTHON_RIP, mapped by the guest to code of its own, is nothing special there."""
    for table, index, entry in (
        (0x6000, PYTHON_RIP >> 39 & 511, 0x31_0003),
        (0x31_0000, PYTHON_RIP >> 30 & 511, 0x31_1003),
        (0x31_1000, PYTHON_RIP >> 21 & 511, 0x31_2003),
        (0x31_2000, PYTHON_RIP >> 12 & 511, 0x30_0003),
    ):
        launchable.write(table + 8 * index, struct.pack("<Q", entry))
    launchable.write(0x30_0000, bytes.fromhex("ffc0 ffc0 0fa2"))  # inc eax, twice; cpuid
    launchable.set_fields(VmcsField.GUEST_RIP, PYTHON_RIP)
    launchable.registers[0] = 5
    outcome = launchable.vmlaunch()
    assert isinstance(outcome, Exited), str(outcome)
    assert (outcome.guest_rip, launchable.registers[0]) == (PYTHON_RIP + 4, 7)


@pytest.mark.parametrize(
    ("memory", "model", "line"),
    [
        ("16M", "maxx", "no processor model 'maxx', expected first, nehalem, max, newest"),
        ("16X", "max", "'16X' is not a size, expected a number and K, M or G"),
        (5000, "max", "0x1388 bytes of memory, expected whole pages of 4096 bytes"),
        ("16K", "max", "0x4000 bytes of memory, expected 0xa000 to 0x8000000000"),
    ],
)
def test_a_machine_that_cannot_be_built_gets_one_line(memory: str | int, model: str, line: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        bare_processor(memory, model)
    assert str(error.value) == line


def test_the_example_of_the_module_works() -> None:
    import vmxon.machine.root

    lines = [line.strip()[4:] for line in (vmxon.machine.root.__doc__ or "").splitlines() if line.strip().startswith(">>>")]
    printed: list[str] = []
    names = {"bare_processor": bare_processor, "struct": struct, "print": lambda value: printed.append(str(value))}
    for line in lines:
        exec(line, names)  # the example is ours
    assert printed == ["VMXON: VMsucceed"]
