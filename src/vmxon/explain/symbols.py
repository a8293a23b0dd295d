"""From an address to function, file and line of an ELF program, for explanations that name who wrote a field."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property
from io import BytesIO
from pathlib import Path, PurePosixPath

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from vmxon.errors import ImageError, printable

FARTHEST = 1 << 20
"""Bytes past a symbol of unknown size that still count as its own."""


class Symbols:
    """The symbols and lines of one program; called with an address, as a `Resolver`.

    `shift` is what the loader added to the program's own addresses (Linux's KASLR).
    """

    def __init__(self, image: bytes, name: str = "program", *, shift: int = 0) -> None:
        """Raises ImageError where the image is no ELF file."""
        self.shift = shift
        try:
            self._file = ELFFile(BytesIO(image))
            self._functions = sorted(self._symbols())
        except Exception as error:  # noqa: BLE001 - pyelftools raises anything where a file lies about itself
            raise ImageError(f"its symbols cannot be read ({type(error).__name__})", where=name, expected="an ELF program") from None
        self._starts = [start for start, _, _ in self._functions]

    @classmethod
    def of_file(cls, path: str, *, shift: int = 0) -> Symbols:
        """The symbols of a file.

        Raises:
            ImageError: no such file, or no ELF program.
        """
        try:
            return cls(Path(path).read_bytes(), path, shift=shift)
        except OSError as error:
            raise ImageError((error.strerror or str(error)).lower(), where=path) from None

    def __call__(self, address: int) -> str | None:
        """“function+0x12 (file.c:34)”; None where nothing is known of the address."""
        own = address - self.shift
        function, line = self._function(own), self._line(own)
        if function is None:
            return line
        return f"{function} ({line})" if line else function

    def _symbols(self) -> Iterator[tuple[int, int, str]]:
        """Start, size and name of each function or label."""
        for section in self._file.iter_sections():
            if not isinstance(section, SymbolTableSection):
                continue
            for symbol in section.iter_symbols():
                kind = symbol["st_info"]["type"]
                if symbol.name and symbol["st_shndx"] != "SHN_UNDEF" and kind in ("STT_FUNC", "STT_NOTYPE"):
                    yield int(symbol["st_value"]), int(symbol["st_size"]), printable(symbol.name)

    def _function(self, address: int) -> str | None:
        index = bisect_right(self._starts, address) - 1
        if index < 0:
            return None
        start, size, name = self._functions[index]
        if address - start >= (size or FARTHEST):
            return None
        return name if address == start else f"{name}+{address - start:#x}"

    def _line(self, address: int) -> str | None:
        starts, places = self._lines
        index = bisect_right(starts, address) - 1
        return places[index] if index >= 0 else None

    @cached_property
    def _lines(self) -> tuple[list[int], list[str | None]]:
        """Where each row of the line tables begins, and its “file:line”; None where a sequence ends."""
        rows: list[tuple[int, int, str | None]] = []
        try:
            if self._file.has_dwarf_info():
                rows = sorted(self._rows(), key=lambda row: row[:2])
        except Exception:  # noqa: BLE001 - as above; symbols without lines are still worth showing
            rows = []
        return [row[0] for row in rows], [row[2] for row in rows]

    def _rows(self) -> Iterator[tuple[int, int, str | None]]:
        """Address, 0 for the end of a sequence so that another may begin there, and place."""
        dwarf = self._file.get_dwarf_info()
        for unit in dwarf.iter_CUs():
            program = dwarf.line_program_for_CU(unit)
            if program is None:
                continue
            files = program["file_entry"]
            first = 0 if program["version"] >= 5 else 1
            for entry in program.get_entries():
                state = entry.state
                if state is None:
                    continue
                if state.end_sequence:
                    yield int(state.address), 0, None
                    continue
                number = state.file - first
                name = files[number].name.decode("utf-8", "replace") if 0 <= number < len(files) else "?"
                yield int(state.address), 1, f"{printable(PurePosixPath(name).name)}:{state.line}"
