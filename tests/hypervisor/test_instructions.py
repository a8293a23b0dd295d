"""Instructions of a guest that the hypervisor serves or refuses."""

import pytest

from tests.hypervisor.guests import HANDLER, TABLES, run


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
    "OSXSAVE does not exist": (13, "mov eax, cr4 \n or eax, 0x40000 \n mov cr4, eax"),
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
