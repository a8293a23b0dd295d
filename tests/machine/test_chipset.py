from vmxon.machine.board import Board, Sinks
from vmxon.machine.configuration import PcConfiguration


def board(pci: bool = True) -> Board:
    sinks = Sinks(leave=lambda value: None, reset=lambda: None)
    return Board(PcConfiguration(memory_size=1 << 20, pci=pci), memoryview(bytearray(1 << 20)), sinks)


def test_a_bios_leaves_the_chip_set_ready() -> None:
    pc = board()
    assert not pc.bus.claims(0x600)
    pc.program()
    assert pc.bus.claims(0x600)
    assert [pc.pci.functions[1, 0].get(0x60 + pin, 1) for pin in range(4)] == [10, 10, 11, 11]
    assert pc.bus.read(0x4D0, 2) == 0x0E00
    assert [pc.pci.functions[0, 0].get(register, 1) for register in range(0x59, 0x60)] == [0x10, *[0x33] * 6]
    assert pc.bus.read(0xCF8, 4) == 0


def test_reset_takes_it_back() -> None:
    pc = board()
    power_on = [function.state() for function in pc.pci.functions.values()]
    pc.program()
    pc.reset()
    assert [function.state() for function in pc.pci.functions.values()] == power_on
    assert not pc.bus.claims(0x600)


def test_without_pci_power_management_has_its_place() -> None:
    pc = board(pci=False)
    assert pc.bus.claims(0x600)
    pc.program()
    pc.bus.write(0xCF8, 4, 0x8000_0000)
    assert pc.bus.read(0xCF8, 4) == pc.bus.read(0xCFC, 4) == 0xFFFF_FFFF


def test_power_management_shares_its_line_with_pci() -> None:
    pc = board()
    pc.program()
    pc.bus.write(0xCF8, 4, 0x8000_0860)
    pc.bus.write(0xCFC, 1, 9)
    router = pc.pci.router
    assert router is not None
    request = router.pin(1, 1)
    request.set(True)
    pc.power.enable_acpi(True)
    pc.bus.write(0x602, 2, 0x100)
    pc.power.press_power_button()
    assert pc.pic.lines[9].level
    request.set(False)
    assert pc.pic.lines[9].level
    pc.bus.write(0x600, 2, 0x100)
    assert not pc.pic.lines[9].level
