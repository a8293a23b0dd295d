"""VMCS dumps from the field: Linux KVM's and Xen's text, and our JSON."""

from vmxon.explain.dumps.dump import Dump
from vmxon.explain.dumps.reader import read_capabilities, read_dump, read_dump_file

__all__ = ["Dump", "read_capabilities", "read_dump", "read_dump_file"]
