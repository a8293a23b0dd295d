"""What is compiled for an operation on elements has the same name in every process, or the code cache would never hit."""

from vmxon.isa.sse.lanes import BYTE, Named, add, each_lane, subtract
from vmxon.microcode.program import function_name


def test_an_operation_shows_as_its_name() -> None:
    assert repr(Named(add)) == "add"


def test_functions_of_operations_are_told_apart_by_name() -> None:
    names = {function_name(each_lane, (BYTE, Named(operation))) for operation in (add, subtract)}
    assert len(names) == 2
    assert not any("0x" in name for name in names)
