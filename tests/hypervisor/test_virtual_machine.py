"""Guests under the hypervisor, from the bundled one to those that are wrong."""

from contextlib import closing
from pathlib import Path

import pytest

from tests.hypervisor.guests import MIB, Guest, image_of, run
from vmxon.devices.disk import AtaDrive, open_image
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
        mov dword ptr [0xFEE00030], 5
        cmp dword ptr [0xFEE00030], -1
        jne bad
        cmp dword ptr [0x200000], -1
        jne bad
        jmp good
        """
    )


# Instructions that the hypervisor serves.


def test_cpuid_hides_vmx_and_shows_the_hypervisor() -> None:
    run(
        """
        mov eax, 1
        cpuid
        test ecx, 1 << 5
        jnz bad
        test ecx, ecx
        jns bad
        mov eax, 0x40000000
        cpuid
        cmp eax, 0x40000010
        jne bad
        cmp ebx, 0x6F786D76
        jne bad
        mov eax, 0x40000005
        cpuid
        or eax, ebx
        jnz bad
        jmp good
        """
    )


HANDLER = """
    mov word ptr [gate + {vector} * 8], offset caught - 0x100000
    mov word ptr [gate + {vector} * 8 + 2], 0x08
    mov word ptr [gate + {vector} * 8 + 4], 0x8E00
    mov word ptr [gate + {vector} * 8 + 6], 0x10
    lgdt [table_pointer]
    lidt [gate_pointer]
"""
TABLES = """
.balign 8
table: .quad 0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF
table_pointer: .word 23
    .long table
gate_pointer: .word 0x7FF
    .long gate
.balign 8
gate: .fill 256, 8, 0
"""

REFUSED = {
    "RDMSR of a foreign MSR": (13, "mov ecx, 0x3A \n rdmsr"),
    "WRMSR of a foreign MSR": (13, "mov ecx, 0x480 \n wrmsr"),
    "VMXE does not exist": (13, "mov eax, cr4 \n or eax, 0x2000 \n mov cr4, eax"),
    "paging without protection": (13, "mov eax, 0x80000010 \n mov cr0, eax"),
    "VMXON": (6, "vmxon [0x1000]"),
    "VMREAD": (6, "vmread eax, ebx"),
    "VMLAUNCH": (6, "vmlaunch"),
    "VMXOFF": (6, "vmxoff"),
    "XSETBV": (6, "xor ecx, ecx \n xsetbv"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_guest_may_not_do_raises_its_exception(name: str) -> None:
    vector, code = REFUSED[name]
    run(HANDLER.format(vector=vector) + f"{code} \n jmp bad \n caught: jmp good \n {TABLES}")


def test_own_msrs_pass_without_exit() -> None:
    guest = run("mov ecx, 0x174 \n mov eax, 0x33 \n xor edx, edx \n wrmsr \n rdmsr \n cmp eax, 0x33 \n jne bad \n jmp good")
    assert "RDMSR" not in guest.exits
    assert "WRMSR" not in guest.exits


def test_the_tsc_can_be_set() -> None:
    guest = run(
        """
        mov ecx, 0x10
        xor eax, eax
        mov edx, 0x100
        wrmsr
        rdtsc
        cmp edx, 0x100
        jne bad
        rdmsr
        cmp edx, 0x100
        jne bad
        jmp good
        """
    )
    assert guest.exits["WRMSR"] == 1


def test_cr0_keeps_its_own_idea_of_ne() -> None:
    run(
        """
        mov eax, cr0
        test eax, 0x20
        jnz bad
        or eax, 0x20
        mov cr0, eax
        mov ebx, cr0
        test ebx, 0x20
        jz bad
        and eax, 0xFFFFFFDF
        mov cr0, eax
        mov ebx, cr0
        test ebx, 0x20
        jnz bad
        clts
        jmp good
        """
    )


def test_paging_may_be_switched_on_together_with_a_bit_of_the_hosts() -> None:
    run(
        """
        mov dword ptr [0x90000], 0x83
        mov eax, cr4
        or eax, 0x10
        mov cr4, eax
        mov eax, 0x90000
        mov cr3, eax
        mov eax, 0x80000031
        mov cr0, eax
        mov ebx, cr0
        cmp ebx, 0x80000031
        jne bad
        jmp good
        """
    )


def test_hypercalls() -> None:
    guest = run(
        """
        xor eax, eax
        vmcall
        cmp eax, 1
        jne bad
        mov eax, 2
        mov ebx, offset text
        mov ecx, 5
        vmcall
        cmp eax, 5
        jne bad
        mov eax, 2
        mov ebx, 0x1FFFFE
        vmcall
        cmp eax, -1
        jne bad
        mov eax, 3
        vmcall
        test eax, eax
        jz bad
        mov eax, 4
        vmcall
        cmp eax, 512
        jne bad
        mov eax, 77
        vmcall
        cmp eax, -1
        jne bad
        jmp good
        text: .ascii "hello"
        """
    )
    assert guest.console == b"hello"


# Ports.


def test_string_output_crosses_pages_and_counts_down() -> None:
    guest = run(
        """
        mov edi, 0x1F0FF0
        mov ecx, 64
        mov al, 0x41
        rep stosb
        mov esi, 0x1F0FF0
        mov ecx, 64
        mov edx, 0x3F8
        rep outsb
        test ecx, ecx
        jnz bad
        cmp esi, 0x1F1030
        jne bad
        std
        mov ecx, 3
        rep outsb
        cmp esi, 0x1F102D
        jne bad
        jmp good
        """
    )
    assert guest.serial == b"A" * 64 + b"\0" + b"A" * 2


def test_string_input_into_a_page_that_the_guest_has_not_mapped_faults() -> None:
    run(
        HANDLER.format(vector=14)
        + """
        mov dword ptr [0x90000], 0x91003
        mov edi, 0x91000
        mov eax, 3
        next: mov dword ptr [edi], eax
        add eax, 0x1000
        add edi, 4
        cmp edi, 0x91800
        jne next
        mov dword ptr [0x91000 + 0x1F0 * 4], 0
        mov eax, 0x90000
        mov cr3, eax
        mov eax, 0x80000011
        mov cr0, eax
        mov edi, 0x1F0000
        mov ecx, 4
        mov dx, 0x1F0
        rep insw
        jmp bad
        caught: mov eax, cr2
        cmp eax, 0x1F0000
        jne bad
        pop eax
        cmp eax, 2
        jne bad
        cmp ecx, 4
        jne bad
        jmp good
        """
        + TABLES
    )


def test_ports_keep_the_rest_of_the_register() -> None:
    run(
        """
        mov eax, 0x12345678
        mov dx, 0x5678
        in al, dx
        cmp eax, 0x123456FF
        jne bad
        in ax, dx
        cmp eax, 0x1234FFFF
        jne bad
        in eax, dx
        cmp eax, -1
        jne bad
        jmp good
        """
    )


def test_port_80_never_exits() -> None:
    guest = run("mov ecx, 1000 \n again: out 0x80, al \n loop again \n jmp good")
    assert guest.exits.get("IO INSTRUCTION", 0) == 0


def test_a_kernel_reads_its_disk_and_its_keyboard(tmp_path: Path) -> None:
    """The path of SWEB: ATA PIO with IRQ 14 masked, a prompt on 0xE9, keys from the i8042 by IRQ 1."""
    disk = tmp_path / "disk.img"
    disk.write_bytes(b"\0" * 512 + b"prompt> ".ljust(512, b"\0") + b"\0" * 512 * 1000)
    text = (
        HANDLER.format(vector=0x21)
        + """
        mov dx, 0x1F6
        mov al, 0xE0
        out dx, al
        mov dx, 0x1F2
        mov al, 1
        out dx, al
        inc dx
        out dx, al
        inc dx
        xor al, al
        out dx, al
        inc dx
        out dx, al
        mov dx, 0x1F7
        mov al, 0x20
        out dx, al
        busy: in al, dx
        test al, 0x80
        jnz busy
        cmp al, 0x58
        jne bad
        mov dx, 0x1F0
        mov edi, 0x1C0000
        mov ecx, 256
        rep insw
        mov esi, 0x1C0000
        mov ecx, 8
        mov edx, 0xE9
        rep outsb
        mov al, 0x11
        out 0x20, al
        mov al, 0x20
        out 0x21, al
        mov al, 4
        out 0x21, al
        mov al, 1
        out 0x21, al
        mov al, 0xFD
        out 0x21, al
        sti
        sleep: hlt
        jmp sleep
        caught: in al, 0x60
        test al, 0x80
        jnz released
        cmp al, 0x1E
        je letter
        cmp al, 0x1C
        je good
        jmp bad
        letter: mov al, 0x61
        out 0xE9, al
        released: mov al, 0x20
        out 0x20, al
        iretd
        """
        + TABLES
    )
    opened = open_image(disk)
    guest = Guest(image_of(text), drives=(AtaDrive(opened),))

    def type_at_prompt(_: int) -> None:
        if guest.console.endswith(b"> "):
            guest.machine.inbox.post(lambda: guest.machine.devices.board.keyboard.type_text("a\n"))

    guest.on_output = type_at_prompt
    with closing(opened):
        assert guest.run() == 0
    assert guest.console == b"prompt> a"


# Interrupts.


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


# What goes wrong.


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
