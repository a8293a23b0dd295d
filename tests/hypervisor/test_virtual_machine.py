"""Guests under the hypervisor, from the bundled one to those that are wrong."""

import pytest

from tests.hypervisor.guests import HANDLER, MIB, TABLES, Guest, image_of, run
from vmxon.errors import ConfigurationError, GuestStopped, TimedOut, TripleFault
from vmxon.hypervisor.guest import bundled_guest
from vmxon.hypervisor.virtual_machine import VirtualMachine


def test_the_bundled_guest_tells_its_story() -> None:
    guest = Guest(bundled_guest(), 8 * MIB)
    assert guest.run() == 0
    assert guest.serial.decode().splitlines() == [
        "guest: in 64-bit mode, paging on",
        "guest: CPUID says GenuineIntel, without VMX",
        "guest: a hypervisor is here: vmxonvmxonvm",
        "guest: MSRs: my own works, a foreign one raises #GP",
        "guest: ports: an empty one reads FF, the clock says century 20",
        "guest: timer ticks: 10",
        "guest: 2-MiB pages of memory touched: 3",
        "guest: the task made system calls: 3, got new pages: 8, answered: 6557470319842",
        "guest: done",
    ]
    assert guest.console.decode().splitlines() == [
        "task: hello from user mode, by SYSCALL",
        "task: hello again, by INT 80h",
    ]
    exits = guest.exits
    assert (exits["EPT VIOLATION"], exits["CPUID"], exits["RDMSR"], exits["VMCALL"]) == (4, 3, 1, 1)
    assert exits["HLT"] >= 10


def test_two_runs_are_equal() -> None:
    first, second = Guest(bundled_guest(), 4 * MIB), Guest(bundled_guest(), 4 * MIB)
    first.run()
    second.run()
    assert first.exits == second.exits
    assert first.machine.root.time == second.machine.root.time
    assert first.machine.memory.view == second.machine.memory.view


def test_one_instruction_for_each_field_does_the_same() -> None:
    batched, single = Guest(bundled_guest(), 4 * MIB), Guest(bundled_guest(), 4 * MIB, batched=False)
    batched.run()
    single.run()
    assert (batched.serial, batched.console) == (single.serial, single.console)
    assert batched.exits.keys() == single.exits.keys()


def test_memory_that_is_no_multiple_of_2_mib() -> None:
    guest = run("mov dword ptr [0x2FF000], 7 \n cmp dword ptr [0x2FF000], 7 \n jne bad \n jmp good", 3 * MIB)
    assert guest.exits["EPT VIOLATION"] == 2


def test_outside_memory_reads_are_ones_and_writes_are_lost() -> None:
    run(
        """
        mov dword ptr [0xFED00030], 5
        cmp dword ptr [0xFED00030], -1
        jne bad
        cmp dword ptr [0x200000], -1
        jne bad
        jmp good
        """
    )


def test_an_interrupt_waits_until_the_guest_takes_it() -> None:
    guest = run(
        HANDLER.format(vector=0x20)
        + """
        mov al, 0x11
        out 0x20, al
        mov al, 0x20
        out 0x21, al
        mov al, 4
        out 0x21, al
        mov al, 1
        out 0x21, al
        mov al, 0xFE
        out 0x21, al
        mov ecx, 2000000
        spin: loop spin
        xor ebx, ebx
        sti
        nop
        nop
        jmp bad
        caught: jmp good
        """
        + TABLES
    )
    assert guest.exits["INTERRUPT WINDOW"] >= 1


def test_a_triple_fault_reports_its_three_faults() -> None:
    with pytest.raises(TripleFault) as error:
        run("lidt [none] \n ud2 \n none: .quad 0")
    assert str(error.value).startswith("guest: triple fault: #")
    assert len(error.value.faults) == 3
    assert error.value.faults[2].registers["CR4"] == 0
    assert any("EFER" in line for line in error.value.details)


def test_a_halt_that_nothing_ends() -> None:
    with pytest.raises(GuestStopped, match="the guest halted with interrupts off"):
        run("cli \n hlt")


def test_a_loop_ends_at_the_time_limit() -> None:
    guest = Guest(image_of("again: jmp again"))
    with pytest.raises(TimedOut, match=r"guest RIP 0x[0-9a-f]{16}: the guest did not end within 0\.2 s"):
        guest.run(0.2)


def test_a_sleeping_guest_ends_at_the_time_limit() -> None:
    guest = Guest(image_of("mov al, 0xFF \n out 0x21, al \n sti \n again: hlt \n jmp again"))
    guest.machine.interactive = True
    with pytest.raises(TimedOut, match=r"did not end within 0\.2 s"):
        guest.run(0.2)


def test_a_jump_into_nothing_stops() -> None:
    with pytest.raises(GuestStopped, match="the guest fetched an instruction from 0x80000000, where there is no memory"):
        run("mov eax, 0x80000000 \n jmp eax")


def test_a_guest_that_touches_more_than_there_are_tables_for_stops() -> None:
    guest = Guest(image_of("mov eax, [0x40000000] \n jmp good"))
    while guest.machine.pages.free > 2:
        guest.machine.pages.allocate()
    with pytest.raises(GuestStopped) as error:
        guest.run()
    assert str(error.value) == "guest-physical 0x40000000: no frame is left for the guest's page tables"


def test_a_hardware_task_switch_is_refused_in_one_line() -> None:
    text = """
        mov word ptr [table + 24 + 2], offset task - 0x100000
        lgdt [wide_pointer]
        .byte 0xEA
        .long 0
        .word 0x18
        task: .fill 104, 1, 0
        wide_pointer: .word 31
        .long table
        .balign 8
        table: .quad 0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF, 0x0000891000000067
        """
    with pytest.raises(GuestStopped) as error:
        run(text)
    assert str(error.value).endswith(": VM exit 9 (a task switch was attempted) has no handler")


def test_the_status_of_isa_debug_exit() -> None:
    guest = Guest(image_of("mov al, 3 \n out 0xF4, al \n hlt"))
    assert guest.run() == 7


@pytest.mark.parametrize(("model", "missing"), [("first", "activate VMX-preemption timer"), ("nehalem", "unrestricted guest")])
def test_a_processor_that_cannot_is_refused(model: str, missing: str) -> None:
    from vmxon.arch.models import MODELS

    with pytest.raises(ConfigurationError, match=f"the processor model '{model}' has no “{missing}”"):
        VirtualMachine(MODELS[model], 2 * MIB, serial=lambda _: None, debug_console=lambda _: None)
