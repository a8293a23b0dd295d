"""Mutex, Condition and the inbox that stands on them."""

import threading
import time

import pytest

from vmxon.hypervisor.condition import Condition
from vmxon.hypervisor.inbox import Inbox
from vmxon.hypervisor.mutex import Mutex


def test_one_holder_at_a_time() -> None:
    mutex, inside, most = Mutex("m"), 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(50):
            with mutex:
                inside += 1
                most = max(most, inside)
                time.sleep(0)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (inside, most) == (0, 1)


def test_misuse_is_an_error_and_no_deadlock() -> None:
    mutex = Mutex("console")
    with pytest.raises(RuntimeError, match="mutex console: released by a thread that does not hold it"):
        mutex.release()
    with mutex, pytest.raises(RuntimeError, match="mutex console: its holder asks for it again"):
        mutex.acquire()
    for call in (Condition(mutex).wait, Condition(mutex).signal, Condition(mutex).broadcast):
        with pytest.raises(RuntimeError, match="on a condition needs its mutex console"):
            call()


def test_wait_ends_by_signal_or_by_time() -> None:
    mutex = Mutex("m")
    condition = Condition(mutex)
    results: list[bool] = []

    def sleeper() -> None:
        with mutex:
            results.append(condition.wait(10))

    threads = [threading.Thread(target=sleeper) for _ in range(3)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 10
    while len(condition._sleepers) < 3 and time.monotonic() < deadline:
        time.sleep(0.001)
    with mutex:
        condition.signal()
    with mutex:
        condition.broadcast()
    for thread in threads:
        thread.join(10)
    assert results == [True] * 3
    with mutex:
        assert condition.wait(0.001) is False
        assert mutex.held_by_me


def test_the_inbox_runs_calls_in_the_thread_that_serves_it() -> None:
    inbox, seen = Inbox(), []
    thread = threading.Thread(target=lambda: inbox.post(lambda: seen.append(threading.get_ident())))
    thread.start()
    inbox.wait(10)
    thread.join()
    assert inbox
    inbox.serve()
    assert seen == [threading.get_ident()]
    assert not inbox


def test_a_call_may_post_another() -> None:
    inbox, seen = Inbox(), []
    inbox.post(lambda: inbox.post(lambda: seen.append(2)))
    inbox.serve()
    inbox.serve()
    assert seen == [2]
