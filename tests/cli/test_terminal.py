"""The terminal, under a pseudo-terminal: keys arrive raw, and the mode is put back on every way out."""

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from vmxon.cli.terminal import GuestOutput, Terminal

# Prints what it is typed, as hex, until it is typed “q”.
PROGRAM = """
import sys, threading, fcntl, termios
if sys.stdin.isatty():
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from vmxon.cli.main import main
from vmxon.cli.terminal import CtrlC, GuestOutput, Terminal
import vmxon.cli.version, click

def body():
    output, quit = GuestOutput(sys.stdout), threading.Event()
    def keys(data):
        output.write(b"<" + data.hex().encode() + b">")
        if b"!" in data:
            raise ValueError("a key too many")
        if b"q" in data:
            quit.set()
    with Terminal(keys, ctrl_c=CtrlC(sys.argv[1])):
        output.write(b"ready")
        while not quit.wait(0.05):
            pass
    return 3

vmxon.cli.version.command = click.Command("version", callback=body)
sys.exit(main(["version"]))
"""


class Session:
    """PROGRAM with a terminal of its own."""

    def __init__(self, environment: dict[str, str], ctrl_c: str) -> None:
        self.master, self.slave = pty.openpty()
        self.mode = termios.tcgetattr(self.slave)
        self.output = b""
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, ctrl_c],
            env=environment,
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
        )

    def expect(self, text: bytes) -> None:
        """Read until `text` has come."""
        deadline = time.monotonic() + 20
        while text not in self.output:
            ready, _, _ = select.select([self.master], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"{text!r} did not come; so far {self.output!r}"
            self.output += os.read(self.master, 4096)

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def end(self) -> int:
        """The exit status, with the terminal's mode proven to be what it was."""
        status = self.process.wait(20)
        while select.select([self.master], [], [], 0)[0]:
            self.output += os.read(self.master, 4096)
        assert termios.tcgetattr(self.slave) == self.mode
        return status

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def session(request: pytest.FixtureRequest, environment: dict[str, str]) -> Iterator[Session]:
    """A running PROGRAM; the parameter says to whom Ctrl-C belongs."""
    session = Session(environment, getattr(request, "param", "stop"))
    try:
        session.expect(b"ready")
        yield session
    finally:
        session.close()


guest_owns_ctrl_c = pytest.mark.parametrize("session", ["guest"], indirect=True)


def test_keys_arrive_at_once_raw_and_without_echo(session: Session) -> None:
    for keys in (b"a", b"\r", b"\x1b[A", b"\x13", b"\x1a", b"\x1c", b"\x16", b"\x7f", b"\x04"):
        session.type(keys)
        session.expect(b"<" + keys.hex().encode() + b">")
    session.type(b"q")
    assert session.end() == 3
    assert session.output == b"ready<61><0d><1b5b41><13><1a><1c><16><7f><04><71>"


def test_ctrl_c_ends_the_run(session: Session) -> None:
    session.type(b"\x03")
    assert session.end() == 130
    assert session.output.endswith(b"vmxon: interrupted\r\n")


@guest_owns_ctrl_c
def test_ctrl_c_can_belong_to_the_guest(session: Session) -> None:
    session.type(b"\x03")
    session.expect(b"<03>")
    session.type(b"\x1d")
    assert session.end() == 130


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_restore_the_terminal_and_do_what_they_do(session: Session, number: signal.Signals) -> None:
    session.process.send_signal(number)
    assert session.end() == -number


def test_an_error_in_the_receiver_of_keys_ends_the_run(session: Session) -> None:
    session.type(b"!")
    assert session.end() == 70
    assert b"this is a bug in vmxon: ValueError: a key too many" in session.output


def test_a_piped_input_is_passed_on_and_its_end_is_not_the_end(environment: dict[str, str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "stop"], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        output, _ = process.communicate(b"help\nq", timeout=20)
    assert process.returncode == 3
    assert output.replace(b"ready", b"") == b"<68656c700a71>"


def test_the_end_of_input_leaves_the_guest_running() -> None:
    read, write = os.pipe()
    os.close(write)
    with Terminal(lambda data: None, descriptor=read) as terminal:
        assert terminal is not None
    os.close(read)


def test_a_closed_input_is_nobody_typing() -> None:
    read, write = os.pipe()
    os.close(read)
    os.close(write)
    with Terminal(lambda data: pytest.fail("nobody types"), descriptor=read):
        pass


def test_output_is_unchanged_and_unbuffered(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as stream:
        stream.write("report ")
        output = GuestOutput(stream)
        for part in (b"\x00\xff", b"", b"\r\n\x1b[1m"):
            output.write(part)
        assert (tmp_path / "out").read_bytes() == b"report \x00\xff\r\n\x1b[1m"
        output.finish_line()
        output.finish_line()
    assert (tmp_path / "out").read_bytes() == b"report \x00\xff\r\n\x1b[1m\n"


def test_a_slow_reader_loses_nothing() -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    program = "import sys, time; time.sleep(.2); data = sys.stdin.buffer.read(); sys.exit(len(data) != 1 << 20)"
    with subprocess.Popen([sys.executable, "-c", program], stdin=read) as reader:
        os.close(read)
        with os.fdopen(write, "w") as stream:
            GuestOutput(stream).write(bytes(1 << 20))
        assert reader.wait(20) == 0
