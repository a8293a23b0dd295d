"""The assembler: flat code at an origin, relocations, and texts that are wrong."""

from __future__ import annotations

import pytest

from vmxon.machine.assembler import AssemblyError, assemble, assemble_apart


@pytest.mark.parametrize(
    ("text", "bits", "code"),
    [
        ("mov eax, ebx", 64, "89d8"),
        ("mov ax, bx", 16, "89d8"),
        ("1: jmp 1b", 32, "ebfe"),
        ("vmxon [rax]", 64, "f30fc730"),
        ("here: .quad here", 64, "0010000000000000"),
        ("mov eax, offset end\nend:", 32, "b805100000"),
    ],
)
def test_known_encodings(text: str, bits: int, code: str) -> None:
    assert assemble(text, bits, 0x1000).hex() == code
    assert assemble_apart(text, bits, 0x1000).hex() == code


def test_a_wrong_text_names_its_line() -> None:
    with pytest.raises(AssemblyError, match=r"line 2: "):
        assemble_apart("nop\nmvo eax, 1\n")


def test_what_is_not_defined_is_named() -> None:
    with pytest.raises(AssemblyError, match=r"nowhere is not defined in the text"):
        assemble_apart("call nowhere")


def test_a_text_that_ends_llvm_leaves_us_alive() -> None:
    with pytest.raises(AssemblyError):
        assemble_apart("jmp .")
