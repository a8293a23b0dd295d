"""Boot images: files in, a list of writes to physical memory and the registers of the first instruction out."""

from vmxon.machine.loader.files import load_files, read_file
from vmxon.machine.loader.image import BootImage, MemoryWrite, Module
from vmxon.machine.loader.multiboot import load_multiboot

__all__ = ["BootImage", "MemoryWrite", "Module", "load_files", "load_multiboot", "read_file"]
