"""What the monitor needs of a machine, and a PC as one."""

from __future__ import annotations

from typing import Protocol

from vmxon.debug.debugger import Debugger
from vmxon.machine.board import Board
from vmxon.machine.local_apic import ApicWires
from vmxon.machine.processor import Processor


class Machine(Protocol):
    """A machine that a person can look into; a part that it does not have raises `Complaint`."""

    @property
    def board(self) -> Board: ...
    @property
    def processor(self) -> Processor: ...
    @property
    def apic(self) -> ApicWires: ...
    @property
    def running(self) -> bool: ...
    def stop(self) -> None: ...
    def resume(self) -> None: ...
    def reset(self) -> None: ...
    def quit(self) -> None: ...


class DebuggedPc:
    """The bare machine; who listens to its debugger, such as gdb, hears of stops."""

    def __init__(self, debugger: Debugger) -> None:
        self.debugger, self.pc = debugger, debugger.pc
        self.board, self.processor, self.apic = self.pc.board, self.pc.processor, self.pc.apic

    @property
    def running(self) -> bool:
        return not self.pc.paused

    def stop(self) -> None:
        self.debugger.interrupt()

    def resume(self) -> None:
        if self.pc.paused:
            self.debugger.resume()

    def reset(self) -> None:
        self.pc.want_reset()

    def quit(self) -> None:
        self.pc.quit()
