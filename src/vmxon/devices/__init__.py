"""Devices of a PC: buses, interrupt lines, a clock, and the chips on them.

Read in this order: `bus`, `interrupt`, `clock`, `state`; then any chip. A chip gets its clock, its interrupt lines and
its sinks as constructor arguments, and puts itself at a PC's addresses with `connect(ports)`.
"""
