"""Loads every module that declares instructions or fills slots."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import vmxon.isa
import vmxon.vmx


def load_all() -> None:
    """Import all of `isa` and `vmx`, so that the table and the slots are complete; in the order of names, equal in every run."""
    for package in (vmxon.isa, vmxon.vmx):
        for module in sorted(pkgutil.walk_packages(package.__path__, package.__name__ + "."), key=lambda m: m.name):
            import_module(module.name)
