"""LLVM at work: IR text to object code, in this process or in a helper (`python -m vmxon.engine.compiler`).

A helper reads jobs from its standard input, one line of JSON each (`ir`: file to read, `object`: file to write, `cold`: compile fast
rather than well), and answers with a line.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import cast

import llvmlite.binding as llvm

OPTIMIZATION = 1


def target_machine(optimization: int = OPTIMIZATION) -> llvm.TargetMachine:
    """The machine that this process runs on, its code generator at a level of optimization."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(), features="", opt=optimization, reloc="default", codemodel="jitdefault", jit=True
    )


def compile_ir(text: str, machine: llvm.TargetMachine) -> bytes:
    """Object code of a module."""
    module = llvm.parse_assembly(text)
    passes = llvm.create_new_module_pass_manager()
    passes.add_sroa_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    passes.run(module, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=OPTIMIZATION)))
    return cast(bytes, machine.emit_object(module))


def main() -> None:
    """Serve jobs until the input ends."""
    machines = {False: target_machine(), True: target_machine(0)}
    for line in sys.stdin:
        job = json.loads(line)
        Path(job["object"]).write_bytes(compile_ir(Path(job["ir"]).read_text(), machines[job["cold"]]))
        sys.stdout.write(job["object"] + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
