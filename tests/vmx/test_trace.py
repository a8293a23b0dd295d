"""A hypervisor's log of one guest from launch to a fault in its interrupt table, as text: reason, place, length, qualification, event."""

import struct

from tests.vmx.vmx_bench import GUEST, VmxBench
from tests.vmx.witness import (
    LONG,
    PrimaryProcessorBased,
    SecondaryProcessorBased,
    changed,
    having,
)
from vmxon.vmx.exit_reasons import ExitReason
from vmxon.vmx.fields import VmcsField as F

CODE = """
    mov eax, 1
    cpuid
    mov ecx, 0x174
    rdmsr
    mov dx, 0x3F8
    mov al, 0x41
    out dx, al
    mov rax, cr4
    or eax, 0x80
    mov cr4, rax
    or eax, 0x2000
    mov cr4, rax
    ud2
    mov rbx, 0x7fff00000000
    mov [rbx], rax
    sti
    nop
    hlt
    vmcall
    lidt [0x20000]
    int 0x21
"""

EXPECTED = """\
CPUID                  +05 length 2
RDMSR                  +0c length 2
IO_INSTRUCTION         +14 length 1 qualification 0x3f80000
CR_ACCESS              +25 length 3 qualification 0x4
EXCEPTION_OR_NMI       +28 event 0x80000306
EXCEPTION_OR_NMI       +34 qualification 0x7fff00000000 event 0x80000b0e code 0x2
HLT                    +39 length 1
VMCALL                 +3a length 3
EXCEPTION_OR_NMI       +45 event 0x80000b0d code 0x10a vectoring 0x80000421
"""

FAULTING = {0x28: 2, 0x34: 3}
"""Lengths of the instructions that raise the exceptions: UD2 and MOV; exits of faults do not report them."""


def line(bench):
    """One exit."""
    reason = ExitReason(bench.reason)
    words = [f"{reason.name:22} +{bench[F.GUEST_RIP] - GUEST:02x}"]
    event, vectoring = bench[F.VM_EXIT_INTERRUPTION_INFORMATION], bench[F.IDT_VECTORING_INFORMATION]
    if reason is not ExitReason.EXCEPTION_OR_NMI:
        words.append(f"length {bench[F.VM_EXIT_INSTRUCTION_LENGTH]}")
    if bench.qualification:
        words.append(f"qualification {bench.qualification:#x}")
    if event:
        words.append(f"event {event:#x}")
    if event & 1 << 11:
        words.append(f"code {bench[F.VM_EXIT_INTERRUPTION_ERROR_CODE]:#x}")
    if vectoring:
        words.append(f"vectoring {vectoring:#x}")
    return " ".join(words)


def test_trace():
    bench = VmxBench()
    controls = (
        PrimaryProcessorBased.hlt_exiting,
        PrimaryProcessorBased.unconditional_io_exiting,
        SecondaryProcessorBased.enable_vpid,
    )
    owned = {
        F.CR4_GUEST_HOST_MASK: 1 << 13,
        F.EXCEPTION_BITMAP: 1 << 6 | 1 << 13 | 1 << 14,
        F.VPID: 1,
    }
    bench.engine.write_physical(0x20000, struct.pack("<HQ", 0x20, 0))
    bench.guest(CODE, changed(having(LONG, *controls), owned))
    bench.launch()
    log = [line(bench)]
    while not bench[F.IDT_VECTORING_INFORMATION]:
        place = bench[F.GUEST_RIP] - GUEST
        bench[F.GUEST_RIP] += FAULTING[place] if bench.reason == ExitReason.EXCEPTION_OR_NMI else bench[F.VM_EXIT_INSTRUCTION_LENGTH]
        bench.launch("vmresume")
        log.append(line(bench))
    assert "\n".join(log) + "\n" == EXPECTED
