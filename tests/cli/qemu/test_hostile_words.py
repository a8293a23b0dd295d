"""Whatever a command line says: a machine, a listing, or one line that says what is wrong."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import example, given, settings
from hypothesis import strategies as st

from vmxon.cli.qemu.machines import base_time, monitors, serials
from vmxon.cli.qemu.option import Listing
from vmxon.cli.qemu.processors import find_processor
from vmxon.cli.qemu.run import gdb_port
from vmxon.cli.qemu.table import OPTIONS, parse
from vmxon.errors import ConfigurationError

PIECES = st.sampled_from(
    [
        *("file=a", "index=1", "index=-1", "media=cdrom", "if=none", "id=x", "drive=x", "chardev=x", "iobase=0x", "iosize=9", "order="),
        "on",
        *("size=1M", "cpus=0", "cpus=", "accel=", "type=pc", "base=", "=", ",", ",,", "tcp::", "tcp:1:x", "stdio", "mon:", "max", "+smep"),
        *("-", "+", "qemu64", "unix:", "99999999999999999999", "é", "\0", "?", "help", "none", "d", "host=", "socket", "mux=on"),
        "bus=ide.",
    ]
)
ARGUMENTS = st.lists(PIECES, max_size=5).map(",".join)
WORDS = st.tuples(st.sampled_from(sorted(OPTIONS)), st.one_of(ARGUMENTS, st.text(max_size=12)))


@settings(max_examples=1500, deadline=None)
@given(st.lists(WORDS, max_size=4))
@example([("drive", "if=none"), ("device", "ide-hd")])
@example([("m", "size=")])
@example([("smp", "")])
@example([("cpu", "")])
@example([("rtc", "base=9999999-01-01")])
def test_any_words(pairs: list[tuple[str, str]]) -> None:
    words = [word for name, argument in pairs for word in (f"-{name}", argument)]
    with suppress(ConfigurationError, Listing):
        draft = parse(words)
        serials(draft), monitors(draft)
        with suppress(ConfigurationError):
            find_processor(draft.processor, draft)
        with suppress(ConfigurationError):
            base_time(draft)
        if draft.gdb is not None:
            gdb_port(draft.gdb)
