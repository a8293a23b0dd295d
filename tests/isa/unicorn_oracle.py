"""What Unicorn (QEMU's translator) makes of a case, and where it is known to be wrong."""

from __future__ import annotations

import iced_x86
import unicorn
from unicorn import x86_const as x86

from tests.isa.cases import CODE, CODE_SIZE, DATA, DATA_SIZE, SELECTOR_OF_CODE, SELECTOR_OF_DATA, START, Case
from tests.isa.outcome import NAMES, Outcome

MODES = {16: unicorn.UC_MODE_16, 32: unicorn.UC_MODE_32, 64: unicorn.UC_MODE_64}
REGISTERS = [getattr(x86, f"UC_X86_REG_{name}") for name in NAMES]
NARROW = [getattr(x86, f"UC_X86_REG_E{name[1:]}") for name in NAMES[:8]]
SEGMENTS = [getattr(x86, f"UC_X86_REG_{name}") for name in ("ES", "SS", "DS", "FS", "GS")]
POINTERS = {16: x86.UC_X86_REG_IP, 32: x86.UC_X86_REG_EIP, 64: x86.UC_X86_REG_RIP}
PAGE_FAULT, INVALID_OPCODE = 14, 6
VECTOR_OF_ERROR = {
    unicorn.UC_ERR_READ_UNMAPPED: PAGE_FAULT,
    unicorn.UC_ERR_WRITE_UNMAPPED: PAGE_FAULT,
    unicorn.UC_ERR_INSN_INVALID: INVALID_OPCODE,
}


def decoded(case: Case) -> iced_x86.Instruction:
    """The instruction as iced reads it."""
    return iced_x86.Decoder(case.mode, case.code.ljust(16, b"\x90"), ip=START).decode()


def length(case: Case) -> int:
    """Bytes of the instruction, by iced; all where it is invalid."""
    instruction = decoded(case)
    return len(case.code) if instruction.is_invalid else instruction.len


def text_of(case: Case) -> str:
    """Mode, bytes and assembly of a case."""
    return f"{case.mode}-bit {case.code[: length(case)].hex(' ')} ({decoded(case)}), RFLAGS {case.rflags:#x}"


class Oracle:
    """One Unicorn engine for each mode, reused for every case."""

    def __init__(self) -> None:
        self.engines = {mode: self._engine(mode) for mode in MODES}
        self.contexts = {mode: engine.context_save() for mode, engine in self.engines.items()}
        self.clean: dict[int, bytes] = {}
        self.interrupt: int | None = None

    def _engine(self, mode: int) -> unicorn.Uc:
        engine = unicorn.Uc(unicorn.UC_ARCH_X86, MODES[mode])
        engine.ctl_set_cpu_model(x86.UC_CPU_X86_ICELAKE_CLIENT)
        engine.mem_map(CODE, CODE_SIZE)
        engine.mem_map(DATA, DATA_SIZE)
        engine.hook_add(unicorn.UC_HOOK_INTR, self._interrupted)
        return engine

    def _interrupted(self, engine: unicorn.Uc, vector: int, _: object) -> None:
        self.interrupt = vector
        engine.emu_stop()

    def run(self, case: Case) -> Outcome:
        """The state after the case's instruction."""
        engine = self.engines[case.mode]
        # An exception would otherwise make the next one a double fault.
        engine.context_restore(self.contexts[case.mode])
        names = REGISTERS if case.mode == 64 else NARROW
        if self.clean.get(case.mode) != case.memory:
            engine.mem_write(DATA, case.memory)
        engine.ctl_remove_cache(CODE, CODE + CODE_SIZE)
        engine.mem_write(CODE, case.page)
        if case.mode == 16:
            engine.reg_write(x86.UC_X86_REG_CS, SELECTOR_OF_CODE)
            for segment in SEGMENTS:
                engine.reg_write(segment, SELECTOR_OF_DATA)
        for name, value in zip(names, case.registers, strict=False):
            engine.reg_write(name, value)
        engine.reg_write(x86.UC_X86_REG_EFLAGS, case.rflags)
        vector, self.interrupt = None, None
        try:
            if case.instruction.flow == "branch":
                engine.emu_start(START, 0xFFFFFF, count=1)
            else:
                engine.emu_start(START, START + length(case), count=0)
        except unicorn.UcError as error:
            if error.errno in VECTOR_OF_ERROR:
                vector = VECTOR_OF_ERROR[error.errno]
            elif error.errno != unicorn.UC_ERR_FETCH_UNMAPPED:
                raise
        if self.interrupt is not None:
            vector = self.interrupt
        registers = tuple(engine.reg_read(name) for name in names)
        rip = engine.reg_read(POINTERS[case.mode])
        memory = bytes(engine.mem_read(DATA, DATA_SIZE))
        self.clean[case.mode] = memory
        return Outcome(vector, registers, rip, engine.reg_read(x86.UC_X86_REG_EFLAGS) & 0xCD5, memory)
