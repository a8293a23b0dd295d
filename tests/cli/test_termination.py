"""SIGTERM and SIGHUP: what was opened is closed, and the process still dies of the signal."""

import signal
import subprocess
import threading
from collections.abc import Callable

import pytest

from vmxon.cli.termination import Terminated, unwinding

PROGRAM = """
import os, signal, sys
from vmxon.cli.termination import unwinding
number = int(sys.argv[1])
if "ignored" in sys.argv:
    signal.signal(number, signal.SIG_IGN)
with unwinding():
    try:
        signal.raise_signal(number)
    except Exception:
        print("taken for an error")
    finally:
        print("put back", flush=True)
print("alive")
"""

Python = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_stack_unwinds_and_the_signal_ends_the_process(python: Python, number: signal.Signals) -> None:
    result = python(PROGRAM, str(int(number)))
    assert (result.returncode, result.stdout, result.stderr) == (-number, "put back\n", "")


def test_an_ignored_signal_stays_ignored(python: Python) -> None:
    result = python(PROGRAM, str(int(signal.SIGHUP)), "ignored")
    assert (result.returncode, result.stdout) == (0, "put back\nalive\n")


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with unwinding():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_another_thread_changes_no_handler() -> None:
    seen = []

    def body() -> None:
        with unwinding():
            seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [before]


def test_it_is_no_error_and_names_its_signal() -> None:
    assert not issubclass(Terminated, Exception)
    assert str(Terminated(signal.SIGTERM)) == "SIGTERM"
