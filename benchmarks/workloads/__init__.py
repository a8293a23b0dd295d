"""The workloads: assembly text in this folder, the work of a full and of a quick run, and the result that each must print."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.images import ORIGIN, multiboot_elf
from vmxon.machine.assembler import assemble

FOLDER = Path(__file__).parent
ENTRY = ORIGIN + 12
"""The first instruction, behind the multiboot header."""
ZEROS = 4 << 20
"""More than any workload takes behind its text."""


@dataclass(frozen=True, slots=True)
class Size:
    """How often the workload's loop runs, and what the guest prints then."""

    count: int
    result: int


@dataclass(frozen=True, slots=True)
class Workload:
    """One program; `round_trips`: its work is VM exits with VM entries, not instructions."""

    name: str
    full: Size
    quick: Size
    source: str = ""
    definitions: tuple[str, ...] = ()
    round_trips: bool = False

    def size(self, quick: bool) -> Size:
        return self.quick if quick else self.full

    def build(self, quick: bool) -> bytes:
        """The multiboot ELF file."""
        defined = {"COUNT": self.size(quick).count} | dict.fromkeys(self.definitions, 1)
        lines = "".join(f".set {name}, {value}\n" for name, value in defined.items())
        files = ("boot.s", "bss.s", f"{self.source or self.name}.s")
        boot, zeros, program = ((FOLDER / name).read_text() for name in files)
        # bss.s first defines symbols that the program's own .set lines need; the code before it is placed by subsection.
        text = f"{lines}.text 2\n{zeros}.text 0\n{boot}.text 1\n{program}"
        return multiboot_elf(assemble(text, 64, ORIGIN), ENTRY, ZEROS)


def _vmexit(name: str, *definitions: str) -> Workload:
    return Workload(name, Size(1_000_000, 1_000_000), Size(100_000, 100_000), "vmexit", definitions, round_trips=True)


FIRST = Workload("first", Size(1, 0), Size(1, 0))
"""The shortest program, to measure starting."""
WORKLOADS = (
    Workload("alu", Size(40_000_000, 0x3184_B6E7_F6D1_957C), Size(4_000_000, 0xDF25_5910_769C_47C1)),
    Workload("mem", Size(200, 0xF961_81F8_B91A_4C44), Size(20, 0x4579_E1F8_80DE_7C01)),
    Workload("fib", Size(20, 0xFD_EB20), Size(2, 2 * 832_040)),
    Workload("sieve", Size(40, 0x2F_E950), Size(4, 4 * 78_498)),
    _vmexit("vmexit"),
    _vmexit("vmexit_vpid", "VPID"),
    _vmexit("vmexit_ept", "EPT"),
    _vmexit("vmexit_ept_vpid", "EPT", "VPID"),
)
