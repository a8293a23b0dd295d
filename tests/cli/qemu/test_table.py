"""QEMU's command line: what each option comes to, and what is refused in which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmxon.arch.features import Feature
from vmxon.arch.models import FIRST, MAX
from vmxon.cli.qemu.machines import monitors, serials
from vmxon.cli.qemu.manual import page, usage
from vmxon.cli.qemu.option import Draft, DriveDraft, Listing
from vmxon.cli.qemu.processors import EQUALS, QEMU64, find_processor
from vmxon.cli.qemu.table import OPTIONS, parse
from vmxon.errors import ConfigurationError

SWEB = "-m 8M -drive file=SWEB.qcow2,index=0,media=disk -debugcon stdio -no-reboot -cpu qemu64,+smep"
KERNEL_TEST = (
    "-nodefaults -device pc-testdev -device isa-debug-exit,iobase=0xf4,iosize=0x4 -vnc none -serial stdio -device pci-testdev "
    "-machine accel=tcg -kernel X.flat -append argument -cpu max -smp 1"
)


def of(line: str) -> Draft:
    return parse(line.split())


def test_swebs_own_command_line() -> None:
    draft = of(SWEB)
    assert draft.memory == 8 << 20
    assert draft.drives == [DriveDraft("SWEB.qcow2", 0)]
    assert (draft.debug_console, draft.no_reboot, draft.notes) == ("stdio", True, [])
    assert Feature.SMEP in find_processor(draft.processor, draft)
    debugged = of(f"{SWEB} -s -S")
    assert (debugged.gdb, debugged.paused) == ("tcp::1234", True)
    assert of(f"{SWEB} -enable-kvm -cpu host").hypervisor
    tested = of("-hda IMG -m 8M -snapshot -monitor pipe:qemu -nographic -debugcon stdio")
    assert (tested.snapshot, tested.nographic, serials(tested), monitors(tested)) == (True, True, ["stdio"], ["pipe:qemu"])


def test_a_kernel_tests_command_line() -> None:
    draft = of(KERNEL_TEST)
    assert (draft.test_device, draft.debug_exit, draft.display) == (True, (0xF4, 4), "none")
    assert (serials(draft), monitors(draft)) == (["stdio"], [])
    assert draft.notes == ["-device pci-testdev: there is no such device, and the machine runs without it"]


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("", "memory", 128 << 20),
        ("-m 64", "memory", 64 << 20),
        ("--m size=1G,slots=2", "memory", 1 << 30),
        ("-m 1500K", "memory", 1500 << 10),
        ("-M pc,accel=kvm", "hypervisor", True),
        ("-machine accel=kvm:tcg", "hypervisor", True),
        ("-accel kvm -accel tcg,thread=single", "hypervisor", False),
        ("-machine q35,acpi=off,vmport=off", "acpi", False),
        ("-machine isapc", "pci", False),
        ("-no-acpi", "acpi", False),
        ("-smp 1,sockets=1", "memory", 128 << 20),
        ("-smp sockets=1,cores=1", "memory", 128 << 20),
        ("image.raw", "drives", [DriveDraft("image.raw", 0)]),
        ("-hdc a,b", "drives", [DriveDraft("a,b", 2)]),
        ("-cdrom a.iso", "drives", [DriveDraft("a.iso", 2, cdrom=True)]),
        ("-drive a,,b,format=raw,cache=none", "drives", [DriveDraft("a,b", None, format="raw")]),
        ("-drive file=a,if=ide,bus=1,unit=1,snapshot=on", "drives", [DriveDraft("a", 3, snapshot=True)]),
        ("-drive media=cdrom,index=1", "drives", [DriveDraft("", 1, cdrom=True)]),
        ("-drive if=none,id=d,file=a -device ide-hd,drive=d,bus=ide.1", "drives", [DriveDraft("a", 2)]),
        ("-drive if=none,id=d,file=a -device ide-cd,drive=d", "drives", [DriveDraft("a", None, cdrom=True)]),
        ("-boot d", "boot_order", "d"),
        ("-boot order=ndc,menu=on", "boot_order", "dc"),
        ("-boot once=d", "boot_order", "d"),
        ("-gdb tcp::9999", "gdb", "tcp::9999"),
        ("-s -gdb none", "gdb", None),
        ("-device isa-debug-exit", "debug_exit", (0x501, 2)),
        ("-chardev stdio,id=log -device isa-debugcon,iobase=0x402,chardev=log", "debug_console", "chardev:log"),
        ("-chardev stdio,id=log -device isa-debugcon,iobase=0x402,chardev=log", "debug_console_port", 0x402),
        ("-chardev socket,id=m,path=/tmp/s,server=on,wait=off", "characters", {"m": "unix:/tmp/s,server,nowait"}),
        ("-chardev socket,id=m,host=localhost,port=5,server=on", "characters", {"m": "tcp:localhost:5,server"}),
        ("-chardev file,id=f,path=x", "characters", {"f": "file:x"}),
        ("-chardev stdio,id=c,mux=on -mon chardev=c,mode=readline", "monitors", ["chardev:c"]),
        ("-display gtk", "display", "curses"),
        ("-display none", "display", "none"),
        ("-rtc base=utc,clock=host", "base_time", "utc"),
        ("-name guest=me,debug-threads=on", "name", "me"),
        ("-d cpu_reset,guest_errors -D log", "log_items", {"cpu_reset", "guest_errors"}),
        ("-net none -nic none -parallel none -vga std -no-hpet -k en-us -no-user-config", "notes", []),
        ("-global kvm-pit.x=1", "notes", ["-global kvm-pit.x=1: no such property here"]),
        ("-vga cirrus", "notes", ["-vga cirrus: the card is a VGA in text mode"]),
        ("-d int", "notes", ["-d int: not logged here; gdb (-s) and the monitor show what the machine does"]),
        ("-machine pc-q35-7.2", "notes", ["-machine pc-q35-7.2: there is no Q35 chipset; the machine is pc (i440FX)"]),
    ],
)
def test_options(line: str, name: str, value: object) -> None:
    assert getattr(of(line), name) == value


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-kernal x", "-kernal: no such option; the nearest is -kernel"),
        ("-zzzzzz", "-zzzzzz: no such option; see -help"),
        ("-m", "-m: an argument is missing, expected [size=]MEMORY"),
        ("-m 8Q", "-m: '8Q' is no size, expected MiB, or a number with K, M or G"),
        ("-m 4K", "-m: 4K is too little for a PC, expected at least 1M"),
        ("-smp 2", "-smp: '2' processors, and the machine has one, expected -smp 1"),
        ("-smp cores=2", "-smp: 'cores=2' processors, and the machine has one, expected -smp 1"),
        ("-accel hvf", "-accel: 'hvf' is no accelerator here; see help"),
        ("-machine virt", "-machine: 'virt' is no machine here; see help"),
        ("-machine pc,apci=off", "-machine: 'apci' is no setting here; the nearest is acpi"),
        ("-drive file=a,if=virtio", "-drive: there is no if=virtio; the nearest is if=ide"),
        ("-drive fille=a", "-drive: 'fille' is no setting here; the nearest is file"),
        ("-drive index=1", "-drive: a disk needs its file, expected file=FILE"),
        ("-drive file=a,format=vdi", "-drive: format=vdi cannot be read; the nearest is vmdk"),
        ("-drive file=a,index=7", "-drive: slot 7 of the IDE controller, expected 0 to 3"),
        ("-drive file=a,index=x", "-drive: 'x' is no number, expected digits, or 0x and hex digits"),
        ("-drive file=a,media=tape", "-drive: media=tape must be disk or cdrom"),
        ("-drive file=a,snapshot=maybe", "-drive: 'maybe' must be on or off"),
        ("-boot x", "-boot: 'x' is no boot device, expected a, c, d, n"),
        ("-fda x", "-fda: there is no floppy drive for x; the nearest is -hda"),
        ("-device e1000", "-device: there is no 'e1000'; see help"),
        ("-device isa-debug-exti", "-device: there is no 'isa-debug-exti'; the nearest is isa-debug-exit"),
        ("-device ide-hd,drive=d", "-device: no drive waits under the id 'd', expected -drive if=none,id=ID before it"),
        ("-device isa-debug-exit,iobase=0x10000", "-device: 2 ports from 0x10000 on, expected at least one, below 0x10000"),
        ("-device isa-debug-exit,iosize=0", "-device: 0 ports from 0x501 on, expected at least one, below 0x10000"),
        (
            "-drive if=none,id=d,file=a -device ide-hd,drive=d,bus=ide.9",
            "-device: slot 18 of the IDE controller, expected 0 to 3",
        ),
        ("-display spice-app", "-display: 'spice-app' is not there; see help"),
        ("-vnc :1", "-vnc: there is no VNC server for :1; the nearest is -display curses"),
        ("-nic user", "-nic: there is no network card for user; the nearest is -nic none"),
        ("-qmp stdio", "-qmp: there is no QMP; the nearest is -monitor, with HMP's words"),
        ("-mon chardev=c,mode=control", "-mon: there is no QMP; the nearest is mode=readline"),
        ("-chardev stdio", "-chardev: stdio has no id, expected BACKEND,id=ID"),
        ("-chardev udp,id=x", "-chardev: 'udp' is no back end here; see help"),
        ("-d everything", "-d: 'everything' is no log item, expected cpu_reset, guest_errors, unimp"),
        ("-daemonize", "-daemonize: the machine stays in the foreground; start it with & and -display none"),
    ],
)
def test_refusals(line: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        of(line)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("-help", "usage: vmxon-system-x86_64"),
        ("-h", "-enable-kvm"),
        ("-version", "vmxon-system-x86_64 "),
        ("-cpu ?", "qemu64"),
        ("-cpu help", "smep"),
        ("-cpu help", "newest               max with linear addresses of 57 bits"),
        ("-machine ?", "Standard PC"),
        ("-M help", "isapc"),
        ("-accel help", "tcg"),
        ("-device help", "isa-debug-exit"),
        ("-d ?", "cpu_reset"),
        ("-display help", "curses"),
        ("-vga help", "std"),
    ],
)
def test_listings(line: str, text: str) -> None:
    with pytest.raises(Listing) as listing:
        of(line)
    assert text in listing.value.text


@pytest.mark.parametrize(
    ("line", "ports", "talk"),
    [
        ("", ["null"], []),
        ("-nographic", ["mon:stdio"], []),
        ("-nographic -serial file:x", ["file:x"], ["stdio"]),
        ("-nographic -monitor none", ["stdio"], []),
        ("-nodefaults", [], []),
        ("-nodefaults -nographic", [], []),
        ("-serial none", [], []),
        ("-serial stdio -serial null -monitor tcp::5,server,nowait", ["stdio", "null"], ["tcp::5,server,nowait"]),
    ],
)
def test_consoles(line: str, ports: list[str], talk: list[str]) -> None:
    assert (serials(of(line)), monitors(of(line))) == (ports, talk)


@pytest.mark.parametrize("name", EQUALS)
def test_every_processor_can_be_had(name: str) -> None:
    assert find_processor(name, Draft()).features == EQUALS[name].features


@pytest.mark.parametrize(
    ("text", "has", "lacks"),
    [
        ("qemu64", Feature.SYSCALL, Feature.SMEP),
        ("qemu64,+smep,smap=on,pcid", Feature.PCID, Feature.UMIP),
        ("max,-vmx", Feature.SMEP, Feature.VMX),
        ("host,-apic,hv_relaxed,migratable=off", Feature.VMX, Feature.APIC),
        ("Skylake-Client-v3,-x2apic", Feature.VMX, Feature.X2APIC),
        ("max,lahf_lm=off", Feature.NX, Feature.LAHF),
        ("newest,-smep", Feature.LA57, Feature.SMEP),
    ],
)
def test_features(text: str, has: Feature, lacks: Feature) -> None:
    model = find_processor(text, Draft())
    assert has in model
    assert lacks not in model
    assert (model.vmx is None) == (Feature.VMX not in model)


def test_features_that_there_are_not() -> None:
    draft = Draft()
    missing = next(feature for feature in Feature if feature not in MAX.features and "_" not in feature.name)
    find_processor(f"max,+{missing.name.lower()}", draft)
    assert draft.notes == [f"-cpu: the processor has no {missing.name.lower()} ({missing.doc})"]
    with pytest.raises(ConfigurationError, match="-cpu: 'smepp' is no feature; the nearest is smep"):
        find_processor("max,+smepp", Draft())
    with pytest.raises(ConfigurationError, match="-cpu: no processor is called 'Nehalam'; the nearest is Nehalem"):
        find_processor("Nehalam", Draft())
    assert find_processor("newest", Draft()) is not None
    assert Feature.SMEP not in QEMU64
    assert EQUALS["Penryn"] is FIRST


def test_the_page_of_options_is_true() -> None:
    written = Path(__file__).parents[3] / "docs" / "qemu-options.md"
    assert written.read_text(encoding="utf-8") == page(), "python -m vmxon.cli.qemu.manual > docs/qemu-options.md"


def test_help_names_every_option() -> None:
    text = usage()
    for option in OPTIONS.values():
        assert f"\n-{option.name}" in text
