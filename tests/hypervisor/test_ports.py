"""Ports of a guest: single and string accesses, a disk and a keyboard."""

from contextlib import closing
from pathlib import Path

from tests.hypervisor.guests import HANDLER, TABLES, Guest, image_of, run
from vmxon.devices.disk import AtaDrive, open_image


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
