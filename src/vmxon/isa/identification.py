"""What the processor tells of itself: CPUID, and the clocks RDTSC, RDTSCP, RDPMC, RDPID."""

from __future__ import annotations

from vmxon.arch.control import Cr4
from vmxon.arch.features import Feature
from vmxon.arch.performance import COUNTERS, FIXED_ENUMERATION, GENERAL
from vmxon.isa.operands import Operand
from vmxon.isa.registers import RAX, RBX, RCX, RDX
from vmxon.isa.table import Form, instruction
from vmxon.microcode import inline, microcode, u32, u64
from vmxon.processor.counters import settle_counters
from vmxon.processor.exceptions import general_protection
from vmxon.processor.identification import identify, reports
from vmxon.processor.slots import Intercept, intercept, need_enabled, tsc_offset
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.time import read_tsc

OLD_COUNTERS = 2
"""RDPMC reads zero from this many counters of a model without architectural performance monitoring."""


@instruction("CPUID", Form("0F A2"), flow="system")
def cpuid(cpu: Cpu) -> None:
    """EAX, EBX, ECX, EDX := leaf EAX, subleaf ECX (Vol. 2A “CPUID—CPU Identification”)."""
    intercept(cpu, Intercept.CPUID, u64(0))
    eax, ebx, ecx, edx = identify(cpu, u32(cpu.gpr[RAX]), u32(cpu.gpr[RCX]))
    cpu.gpr[RAX] = u64(eax)
    cpu.gpr[RBX] = u64(ebx)
    cpu.gpr[RCX] = u64(ecx)
    cpu.gpr[RDX] = u64(edx)


@inline
def need_time(cpu: Cpu) -> None:
    """CR4.TSD keeps the time for CPL 0; #GP(0)."""
    if cpu.cpl != 0 and cpu.cr4 & Cr4.tsd.mask != 0:
        general_protection(cpu, 0)


@inline
def answer_time(cpu: Cpu) -> None:
    """EDX:EAX := the TSC as this level of virtualization sees it."""
    now = tsc_offset(cpu, read_tsc(cpu))
    cpu.gpr[RAX] = u64(u32(now))
    cpu.gpr[RDX] = now >> 32


@instruction("RDTSC", Form("0F 31"), flow="system", feature="tsc")
def rdtsc(cpu: Cpu) -> None:
    """EDX:EAX := time-stamp counter (Vol. 2B “RDTSC—Read Time-Stamp Counter”)."""
    need_time(cpu)
    intercept(cpu, Intercept.RDTSC, u64(0))
    answer_time(cpu)


@instruction("RDTSCP", Form("0F 01 F9"), flow="system", feature="rdtscp")
def rdtscp(cpu: Cpu) -> None:
    """The same, and ECX := IA32_TSC_AUX (Vol. 2B “RDTSCP—Read Time-Stamp Counter and Processor ID”)."""
    need_enabled(cpu, Intercept.RDTSCP)
    need_time(cpu)
    intercept(cpu, Intercept.RDTSCP, u64(0))
    answer_time(cpu)
    cpu.gpr[RCX] = u64(u32(cpu.tsc_aux))


@instruction("RDPMC", Form("0F 33"), flow="system")
def rdpmc(cpu: Cpu) -> None:
    """EDX:EAX := a performance counter (Vol. 2B “RDPMC—Read Performance-Monitoring Counters”)."""
    if cpu.cpl != 0 and cpu.cr4 & Cr4.pce.mask == 0:
        general_protection(cpu, 0)
    intercept(cpu, Intercept.RDPMC, u64(0))
    value = read_counter(cpu, u32(cpu.gpr[RCX]))
    cpu.gpr[RAX] = u64(u32(value))
    cpu.gpr[RDX] = value >> 32


@microcode
def read_counter(cpu: Cpu, index: u32) -> u64:
    """The counter by its number in RDPMC; #GP(0) where there is none."""
    if not reports(cpu, u32(Feature.PERFMON.leaf), u64(Feature.PERFMON.register), u32(Feature.PERFMON.mask)):
        if index >= OLD_COUNTERS:
            general_protection(cpu, 0)
        return u64(0)
    number = u64(index)
    if index & FIXED_ENUMERATION != 0:
        number = u64(index ^ FIXED_ENUMERATION) + GENERAL
        if number < GENERAL or number >= COUNTERS:
            general_protection(cpu, 0)
    elif number >= GENERAL:
        general_protection(cpu, 0)
    settle_counters(cpu)
    return cpu.counters[number]


@instruction("RDPID", Form("F3 0F C7 /7", "rm", default64=True), flow="system", feature="rdpid")
def rdpid(cpu: Cpu, destination: Operand) -> None:
    """destination := IA32_TSC_AUX; in a guest it goes with RDTSCP (Vol. 2B “RDPID—Read Processor ID”)."""
    need_enabled(cpu, Intercept.RDTSCP)
    destination.write(destination.kind(cpu.tsc_aux))
