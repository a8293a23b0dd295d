"""VM-instruction errors."""

from vmxon.vmx.errors import InstructionError


def test_numbers() -> None:
    assert {int(error) for error in InstructionError} == set(range(1, 29)) - {14, 21, 27}


def test_the_errors_that_hypervisor_authors_meet() -> None:
    assert InstructionError(4) is InstructionError.VMLAUNCH_NOT_CLEAR
    assert InstructionError(5) is InstructionError.VMRESUME_NOT_LAUNCHED
    assert InstructionError(7) is InstructionError.ENTRY_CONTROLS
    assert InstructionError(8) is InstructionError.ENTRY_HOST_STATE
    assert InstructionError(12) is InstructionError.UNSUPPORTED_FIELD
    assert InstructionError(13) is InstructionError.VMWRITE_READ_ONLY
    assert InstructionError(26) is InstructionError.ENTRY_MOV_SS_BLOCKING


def test_every_error_has_meaning_and_cause() -> None:
    for error in InstructionError:
        assert error.meaning
        assert error.cause
    assert len({error.meaning for error in InstructionError}) == len(InstructionError)
