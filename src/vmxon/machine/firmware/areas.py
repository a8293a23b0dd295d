"""Memory that belongs to the firmware: the BIOS data area and its extension.

Source: IBM PS/2 and PC BIOS Interface Technical Reference (1987, 1991), “ROM BIOS Data Areas”, “Extended BIOS Data Area”.
"""

from __future__ import annotations

from enum import IntEnum

EBDA_SEGMENT = 0x9FC0
EBDA = EBDA_SEGMENT << 4
"""The last KiB below 640 KiB."""
EBDA_USED = 0x100
"""Bytes of it that are ours; the MultiProcessor pointer is at its end."""
DISK_TABLES = EBDA + 0x3D
"""Where the parameters of the first two fixed disks are, 16 bytes each; INT 41h and INT 46h point to them."""
DISKETTE_PARAMETERS = 0x60
"""Offset in it of the table that INT 1Eh points to, 11 bytes."""
BOOT_ADDRESS = 0x7C00
DATA_AREA, DATA_AREA_SIZE = 0x400, 0x100


class Bda(IntEnum):
    """Addresses in the BIOS data area, segment 40h."""

    SERIAL_PORTS = 0x400
    EBDA_SEGMENT = 0x40E
    EQUIPMENT = 0x410
    MEMORY_KIB = 0x413
    SHIFT_FLAGS = 0x417
    SHIFT_FLAGS_2 = 0x418
    ALT_NUMBER = 0x419
    KEY_HEAD = 0x41A
    KEY_TAIL = 0x41C
    KEY_BUFFER = 0x41E
    KEY_BUFFER_END = 0x43E
    VIDEO_MODE = 0x449
    COLUMNS = 0x44A
    PAGE_BYTES = 0x44C
    PAGE_START = 0x44E
    CURSORS = 0x450
    CURSOR_SHAPE = 0x460
    PAGE = 0x462
    CRTC_PORT = 0x463
    TICKS = 0x46C
    MIDNIGHT = 0x470
    BREAK = 0x471
    RESET_FLAG = 0x472
    DISK_STATUS = 0x474
    FIXED_DISKS = 0x475
    SERIAL_TIMEOUTS = 0x47C
    KEY_BUFFER_FIRST = 0x480
    KEY_BUFFER_LAST = 0x482
    ROWS_MINUS_ONE = 0x484
    CHARACTER_HEIGHT = 0x485
    VIDEO_CONTROL = 0x487
    VIDEO_SWITCHES = 0x488
    VIDEO_FLAGS = 0x489
    DISPLAY_COMBINATION = 0x48A
    KEYBOARD_STATE = 0x496
    KEYBOARD_LEDS = 0x497
    WAIT_FLAG_POINTER = 0x498
    WAIT_MICROSECONDS = 0x49C
    WAIT_ACTIVE = 0x4A0
