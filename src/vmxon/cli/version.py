"""`vmxon version`: the versions that matter in a report."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import click

from vmxon import __version__

FOUNDATIONS = ("llvmlite", "click", "rich", "pyelftools", "platformdirs")


@click.command("version", short_help="Print versions.")
def command() -> None:
    """Print the versions of vmxon, Python, the host and the libraries below."""
    rows = [
        ("vmxon", __version__),
        ("Python", f"{platform.python_version()} ({platform.python_implementation()})"),
        ("host", f"{platform.system()} {platform.machine()}"),
        *((name, _installed(name)) for name in FOUNDATIONS),
    ]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"{name:<{width}}  {value}")


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"
