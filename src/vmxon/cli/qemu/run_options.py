"""Options for the run: debugging, logs, how it ends, what is printed instead."""

from __future__ import annotations

from vmxon.cli.qemu.machine_options import passed
from vmxon.cli.qemu.option import Draft, Effect, Listing, Option, Section
from vmxon.errors import ConfigurationError

LOG_ITEMS = {
    "cpu_reset": "each reset of the machine, with the registers before it",
    "guest_errors": "nothing is logged here: what a guest does wrong has its architectural effect",
    "unimp": "nothing is logged here: an instruction that the processor lacks raises #UD",
}
QEMU_LOG_ITEMS = frozenset(
    {
        *("out_asm", "in_asm", "op", "op_opt", "op_ind", "int", "exec", "cpu", "fpu", "mmu", "pcall", "page", "nochain", "plugin"),
        *("strace", "tid", "vpu", "all"),
    }
)


def _set(name: str) -> Effect:
    def effect(draft: Draft, _: str) -> None:
        setattr(draft, name, True)

    return effect


def short_gdb(draft: Draft, _: str) -> None:
    """-s."""
    draft.gdb = "tcp::1234"


def gdb(draft: Draft, text: str) -> None:
    """-gdb."""
    draft.gdb = None if text == "none" else text


def log(draft: Draft, text: str) -> None:
    """-d."""
    if text in {"?", "help"}:
        raise Listing("Log items:\n" + "".join(f"{key:<16} {title}\n" for key, title in LOG_ITEMS.items()))
    for item in text.split(","):
        if item in QEMU_LOG_ITEMS or item.startswith("trace:"):
            draft.note(f"-d {item}: not logged here; gdb (-s) and the monitor show what the machine does")
        elif item not in LOG_ITEMS:
            raise ConfigurationError(f"-d: {item!r} is no log item", expected=", ".join(LOG_ITEMS))
        draft.log_items.add(item)


def log_file(draft: Draft, text: str) -> None:
    """-D."""
    draft.log_file = text


def pid_file(draft: Draft, text: str) -> None:
    """-pidfile."""
    draft.pid_file = text


def no_daemon(draft: Draft, _: str) -> None:
    """-daemonize."""
    raise ConfigurationError("-daemonize: the machine stays in the foreground", advice="start it with & and -display none")


def show_help(draft: Draft, _: str) -> None:
    """-help."""
    from vmxon.cli.qemu.manual import usage

    raise Listing(usage())


def show_version(draft: Draft, _: str) -> None:
    """-version."""
    from vmxon import __version__

    raise Listing(f"vmxon-system-x86_64 {__version__}, with the command line of QEMU's qemu-system-x86_64\n")


SECTION = Section(
    "Running and debugging",
    (
        Option("s", "", "serve gdb at 127.0.0.1:1234", short_gdb),
        Option("gdb", "tcp::PORT", "serve gdb at this port of the loopback address", gdb),
        Option("S", "", "wait for gdb's or the monitor's continue", _set("paused")),
        Option("no-reboot", "", "end the run where the machine would reset", _set("no_reboot")),
        Option("no-shutdown", "", "wait at the monitor where the machine turns itself off", _set("no_shutdown")),
        Option("d", "ITEMS", "log items; ? lists them", log),
        Option("D", "FILE", "where the log goes (default: standard error)", log_file),
        Option("pidfile", "FILE", "write the number of the process to a file", pid_file),
        Option("daemonize", "", "refused: the machine stays in the foreground", no_daemon),
        Option("singlestep", "", "accepted: the engine's blocks are exact anyway", passed()),
        Option("msg", "timestamp=on|off", "accepted: messages have no time", passed()),
        Option("sandbox", "…", "accepted: nothing to do", passed()),
        Option("help", "", "this text", show_help, ("h",)),
        Option("version", "", "the version", show_version),
    ),
)
