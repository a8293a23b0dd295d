"""The table of options as text: `-help`, and docs/qemu-options.md.

    python -m vmxon.cli.qemu.manual > docs/qemu-options.md
"""

from __future__ import annotations

import sys
import textwrap

from vmxon.cli.qemu.table import SECTIONS

WIDTH, INDENT = 100, 28
INTRODUCTION = """\
# The options of `vmxon-system-x86_64`

The machine behind QEMU's command line. An option or setting that is not here ends the command with one line, which names the nearest,
and status 2. A guest that writes V to isa-debug-exit ends it with `(V << 1) | 1`; turning the machine off, `quit`, and a reset under
`-no-reboot` give 0. Written from the table in `src/vmxon/cli/qemu/` by `python -m vmxon.cli.qemu.manual`.
"""


def usage() -> str:
    """What `-help` prints."""
    lines = ["usage: vmxon-system-x86_64 [options] [disk image]"]
    for section in SECTIONS:
        lines += ["", f"{section.title}:"]
        for option in section.options:
            head = f"-{option.name} {option.argument}".rstrip()
            text = textwrap.wrap(option.help, WIDTH - INDENT)
            if len(head) >= INDENT:
                lines.append(head)
                head = ""
            lines.append(f"{head:<{INDENT}}{text[0]}")
            lines += [" " * INDENT + line for line in text[1:]]
    return "\n".join(lines) + "\n"


def page() -> str:
    """docs/qemu-options.md."""
    parts = [INTRODUCTION]
    for section in SECTIONS:
        parts.append(f"\n## {section.title}\n\n| option | what it does |\n|---|---|\n")
        for option in section.options:
            names = ", ".join(f"`-{name}`" for name in (option.name, *option.aliases))
            argument = " `" + option.argument.replace("|", "\\|") + "`" if option.argument else ""
            parts.append(f"| {names}{argument} | {option.help.replace('|', chr(92) + '|')} |\n")
    return "".join(parts)


if __name__ == "__main__":
    sys.stdout.write(page())
