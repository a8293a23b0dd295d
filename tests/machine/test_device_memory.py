"""Event delivery through device memory: slow, but it ends."""

import pytest

from tests.hypervisor.guests import MIB, image_of
from vmxon.errors import TripleFault
from vmxon.machine.configuration import PcConfiguration
from vmxon.machine.loader import load_multiboot
from vmxon.machine.pc import Limits, Pc


@pytest.mark.parametrize("event", ["ud2", "int 0x80", "mov al, 0xFE \n out 0x21, al \n sti \n hlt"], ids=["fault", "software", "external"])
def test_an_idt_where_no_memory_is_ends_in_a_triple_fault(event: str) -> None:
    text = f"lidt [pointer] \n {event} \n jmp good \n pointer: .word 0x7FF \n .long 0xF0000000"
    kernel = load_multiboot(image_of(text), "guest", 4 * MIB)
    with pytest.raises(TripleFault):
        Pc(PcConfiguration(memory_size=4 * MIB, kernel=kernel)).run(Limits(20))
