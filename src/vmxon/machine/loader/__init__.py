"""Boot images: files in, a list of writes to physical memory and the registers of the first instruction out."""

from vmxon.machine.loader.files import load_files, read_file
from vmxon.machine.loader.image import BootImage, LongStart, MemoryWrite, Module, RealStart
from vmxon.machine.loader.multiboot import load_multiboot

__all__ = ["BootImage", "LongStart", "MemoryWrite", "Module", "RealStart", "load_files", "load_multiboot", "read_file"]
