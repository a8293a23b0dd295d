"""Into VMX operation, and what stops it."""

from dataclasses import replace

import pytest

from vmxon.arch.features import Feature
from vmxon.arch.models import MAX
from vmxon.errors import ConfigurationError
from vmxon.hypervisor.memory.page_manager import PageManager
from vmxon.hypervisor.operation.bring_up import allow_vmxon, detect, enter_vmx_operation, fix_control_registers, new_region
from vmxon.hypervisor.operation.vmcs import CONTROLS, adjusted
from vmxon.machine.processor import Processor
from vmxon.machine.root import RootProcessor, bare_processor
from vmxon.vmx.controls import PrimaryExit
from vmxon.vmx.state import Operation

MEMORY = 4 << 20


@pytest.fixture
def root() -> RootProcessor:
    return bare_processor(MEMORY)


def test_all_steps_lead_into_vmx_root_operation(root: RootProcessor) -> None:
    pages = PageManager(MEMORY, root.free)
    region = enter_vmx_operation(root, pages)
    assert root.state.vmx_operation == Operation.ROOT
    assert root.state.vmxon_pointer == region
    assert root.state.feature_control == 0b101
    assert pages.is_taken(region)


def test_each_step_is_needed(root: RootProcessor) -> None:
    pages = PageManager(MEMORY, root.free)
    assert str(root.vmxon(new_region(root, pages))) == "VMXON: #UD"
    fix_control_registers(root)
    assert str(root.vmxon(new_region(root, pages))) == "VMXON: #GP(0x0)"
    allow_vmxon(root)
    assert str(root.vmxon(pages.allocate())).startswith("VMXON: VMfailInvalid")
    assert root.vmxon(new_region(root, pages)).succeeded


def test_a_processor_without_vmx_is_refused() -> None:
    model = replace(MAX, name="plain", features=MAX.features - {Feature.VMX}, vmx=None)
    with pytest.raises(ConfigurationError) as error:
        detect(RootProcessor(Processor(model, MEMORY)))
    assert str(error.value) == "the processor has no VMX; choose --model max"


def test_a_lock_of_the_firmware_is_respected(root: RootProcessor) -> None:
    fix_control_registers(root)
    root.wrmsr(0x3A, 0b001)
    with pytest.raises(ConfigurationError) as error:
        allow_vmxon(root)
    assert str(error.value) == "IA32_FEATURE_CONTROL: the firmware has locked VMX off"


def test_controls_are_those_wanted_and_those_that_must_be_one(root: RootProcessor) -> None:
    for _, plain, exact, layout, wanted in CONTROLS:
        capability = root.rdmsr(exact)
        value = adjusted(root, exact, layout, wanted)
        must = getattr(capability, "value", 0) & 0xFFFF_FFFF
        assert value == wanted | must
        assert plain != exact or layout.__name__ == "SecondaryProcessorBased"
    with pytest.raises(ConfigurationError, match="the processor model 'max' has no “clear IA32_RTIT_CTL”"):
        adjusted(root, 0x48F, PrimaryExit, 1 << 25)
