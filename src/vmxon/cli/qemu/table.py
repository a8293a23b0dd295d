"""Every option, declared once: parsing, help and docs/qemu-options.md follow from this table."""

from __future__ import annotations

from collections.abc import Sequence

from vmxon.cli.qemu import device_options, machine_options, run_options, storage_options
from vmxon.cli.qemu.option import Draft, DriveDraft, Option, nearest
from vmxon.errors import ConfigurationError

SECTIONS = (machine_options.SECTION, storage_options.SECTION, device_options.SECTION, run_options.SECTION)
OPTIONS: dict[str, Option] = {
    name: option for section in SECTIONS for option in section.options for name in (option.name, *option.aliases)
}
"""By name and alias, without the dash."""


def parse(words: Sequence[str]) -> Draft:
    """The machine that a command line describes; a word that is no option is the first disk.

    Raises:
        ConfigurationError: one line that names the option, and the nearest that there is.
        Listing: a text was asked for instead.
    """
    draft, rest = Draft(), list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word == "-":
            draft.drives.append(DriveDraft(word, 0))
            continue
        name = word.removeprefix("-").removeprefix("-")
        option = OPTIONS.get(name)
        if option is None:
            raise ConfigurationError(f"{word}: no such option", advice=nearest(name, list(OPTIONS), "-"))
        if option.argument and not rest:
            raise ConfigurationError(f"{word}: an argument is missing", expected=option.argument)
        option.effect(draft, rest.pop(0) if option.argument else "")
    return draft
