"""Several VMREADs or VMWRITEs in one call, for a hypervisor in Python that would else pay for each instruction."""

from __future__ import annotations

from vmxon.microcode import load, microcode, store, u64
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.vmx.access import NOWHERE, field_place, field_value, set_field
from vmxon.vmx.state import has_vmcs


@microcode
def read_fields(cpu: Cpu, names: u64, values: u64, count: u64) -> u64:
    """VMREAD of `count` encodings at host address `names` into `values`; gives how many were read."""
    done = u64(0)
    while done < count and has_vmcs(cpu):
        encoding = load(u64, names + 8 * done)
        place = field_place(cpu, encoding)
        if place == NOWHERE:
            return done
        store(u64, values + 8 * done, field_value(cpu.vmcs, place, encoding))
        done = done + 1
    return done


@microcode
def write_fields(cpu: Cpu, table: u64, count: u64) -> u64:
    """Write `count` pairs of encoding and value from host address `table`; gives how many were written."""
    done = u64(0)
    while done < count and has_vmcs(cpu):
        encoding = load(u64, table + 16 * done)
        place = field_place(cpu, encoding)
        if place == NOWHERE:
            return done
        set_field(cpu, cpu.vmcs, place, encoding, load(u64, table + 16 * done + 8))
        done = done + 1
    return done
