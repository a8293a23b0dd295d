"""Architectural state and its transitions: modes, translation, faults, interrupts, time."""
