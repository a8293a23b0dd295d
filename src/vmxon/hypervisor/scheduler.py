"""Scheduler: which guest gets the processor next. Fair by the guests' own time: always the one for which least has passed.

A guest's time passes with its instructions, and while it sleeps in HLT; so one that wakes for a moment at each tick of its timer cannot
keep the processor from one that computes.
Slices are counted in the guest's own time and ended by the preemption timer, so a guest that loops with interrupts off loses the
processor like any other. A guest that joins, or comes back from a pause, starts level with the one that has had least.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum

from vmxon.errors import TimedOut, VmxonError
from vmxon.hypervisor.virtual_machine import VirtualMachine

SLICE = 500_000
"""Ticks of a slice; some milliseconds."""


class Condition(Enum):
    """What may become of a guest; only a ready one runs."""

    READY, PAUSED, FINISHED, FAILED, KILLED = "ready", "paused", "finished", "failed", "killed"


class Job:
    """One guest on the scheduler's list."""

    def __init__(self, name: str, machine: VirtualMachine) -> None:
        self.name, self.machine = name, machine
        self.condition = Condition.READY
        self.error: VmxonError | None = None
        """Why it failed."""
        self.slices = 0
        self.seconds = 0.0
        """Wall-clock time with the processor, its exits included."""
        self.handicap = 0
        """Ticks that it is taken to have had before it joined."""

    @property
    def instructions(self) -> int:
        """How many the guest has run."""
        return self.machine.time.instructions

    @property
    def had(self) -> int:
        """What fairness counts."""
        return self.handicap + self.machine.time.now

    @property
    def exit_value(self) -> int | None:
        """The status that the guest gave."""
        return self.machine.exit_value

    @property
    def alive(self) -> bool:
        """It may still run."""
        return self.condition in (Condition.READY, Condition.PAUSED)

    def run_slice(self, ticks: int) -> None:
        """One slice; a failure ends this guest and nothing else."""
        started = time.perf_counter()
        try:
            self.machine.run_slice(ticks)
        except VmxonError as error:
            self.condition, self.error = Condition.FAILED, error
        else:
            if self.machine.exit_value is not None:
                self.condition = Condition.FINISHED
        self.slices += 1
        self.seconds += time.perf_counter() - started


class Scheduler:
    """The guests of one host, in the order in which they came."""

    def __init__(self, slice_ticks: int = SLICE) -> None:
        self.slice_ticks = slice_ticks
        self.jobs: list[Job] = []
        self.on_slice: Callable[[Job], None] = lambda job: None
        """Told after each slice; it may pause, resume and kill."""
        self.idle: Callable[[float], None] | None = None
        """Where somebody may type: waits so many seconds, or until a key comes, whenever every ready guest sleeps."""

    def add(self, name: str, machine: VirtualMachine) -> Job:
        """One more guest, ready to run."""
        job = Job(name, machine)
        self._catch_up(job)
        self.jobs.append(job)
        return job

    def pause(self, job: Job) -> None:
        """Keep it from the processor; ValueError where it has ended."""
        self._require_alive(job)
        job.condition = Condition.PAUSED

    def resume(self, job: Job) -> None:
        """Let it go on, with no claim to what it missed; ValueError where it has ended."""
        self._require_alive(job)
        if job.condition is Condition.PAUSED:
            self._catch_up(job)
            job.condition = Condition.READY

    def kill(self, job: Job) -> None:
        """End it where it stands; ValueError where it has ended."""
        self._require_alive(job)
        job.condition = Condition.KILLED

    def next(self) -> Job | None:
        """The ready guest that has had least; None where none is ready."""
        return min((job for job in self.jobs if job.condition is Condition.READY), key=lambda job: job.had, default=None)

    def run(self, seconds: float | None = None) -> None:
        """Run until no guest is ready: all have ended or are paused.

        Raises:
            TimedOut: it took longer than `seconds`.
        """
        started = time.monotonic()
        while (job := self.next()) is not None:
            job.run_slice(self.slice_ticks)
            self.on_slice(job)
            if self.idle is not None and self._all_asleep():
                self.idle(self.slice_ticks / job.machine.pace.rate)
            if seconds is not None and time.monotonic() - started > seconds:
                running = ", ".join(job.name for job in self.jobs if job.condition is Condition.READY)
                if running:
                    raise TimedOut(f"not all guests ended within {seconds:g} s", where=running)

    def _all_asleep(self) -> bool:
        """Nobody would use the processor, and every guest has slept as long as the others."""
        ready = [job for job in self.jobs if job.condition is Condition.READY]
        level = len({job.had // self.slice_ticks for job in ready}) == 1
        return level and all(job.machine.asleep and not job.machine.inbox for job in ready)

    def _catch_up(self, job: Job) -> None:
        least = min((other.had for other in self.jobs if other.condition is Condition.READY), default=0)
        job.handicap += max(0, least - job.had)

    @staticmethod
    def _require_alive(job: Job) -> None:
        if not job.alive:
            raise ValueError(f"guest {job.name} has ended: {job.condition.value}")
