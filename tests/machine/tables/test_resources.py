import pytest

from vmxon.machine.tables import resources
from vmxon.machine.tables.resources import Window


@pytest.mark.parametrize(
    ("descriptor", "encoded"),
    [
        (resources.ports(0x3F8, 8), "47 01 f8 03 f8 03 01 08"),
        (resources.isa_interrupt(4), "22 10 00"),
        (resources.isa_interrupt(8), "22 00 01"),
        (resources.interrupts(5, 10), "89 0a 00 09 02 05 00 00 00 0a 00 00 00"),
        (resources.window(Window.BUSES, 0, 0xFF), "88 0d 00 02 0c 00 00 00 00 00 ff 00 00 00 00 01"),
        (resources.window(Window.IO, 0xD00, 0xFFFF), "88 0d 00 01 0c 03 00 00 00 0d ff ff 00 00 00 f3"),
        (
            resources.window(Window.MEMORY, 0xA_0000, 0xB_FFFF),
            "87 17 00 00 0c 01 00 00 00 00 00 00 0a 00 ff ff 0b 00 00 00 00 00 00 00 02 00",
        ),
    ],
)
def test_descriptors(descriptor: bytes, encoded: str) -> None:
    assert descriptor.hex(" ") == encoded


def test_a_template_ends_with_its_tag() -> None:
    assert resources.template(resources.isa_interrupt(1)).hex(" ") == "11 08 0a 05 22 02 00 79 00"
