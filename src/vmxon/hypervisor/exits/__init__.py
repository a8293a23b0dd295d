"""VM exits: values for `match`, what is done for each reason, and the events that go back to the guest."""

from vmxon.hypervisor.exits.values import (
    ControlRegisterWrite,
    EptViolation,
    Event,
    Exit,
    Input,
    Output,
    Plain,
    RawExit,
    StringInputOutput,
    decode_exit,
)

__all__ = [
    "ControlRegisterWrite",
    "EptViolation",
    "Event",
    "Exit",
    "Input",
    "Output",
    "Plain",
    "RawExit",
    "StringInputOutput",
    "decode_exit",
]
