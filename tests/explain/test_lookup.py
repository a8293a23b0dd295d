"""Looking things up: every exit reason, error, field, control, MSR and rule has a topic, and a misspelt one its nearest."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmxon.arch.msr import MSRS
from vmxon.arch.msr_rules import LinearAddress, Whole
from vmxon.errors import VmxonError
from vmxon.explain.control_coverage import sources
from vmxon.explain.names import find_field, find_msr, integer
from vmxon.explain.topics.exits import ABSENT, CONTROLS
from vmxon.explain.topics.lookup import look_up
from vmxon.explain.topics.msrs import PURPOSES
from vmxon.explain.topics.values import REGISTERS, control_names
from vmxon.vmx.errors import InstructionError
from vmxon.vmx.exit_reasons import ExitReason
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.qualifications import QUALIFICATIONS
from vmxon.vmx.rules import RULES


def only(*words):
    """The one topic of these words."""
    (topic,) = look_up(words)
    return topic


@pytest.mark.parametrize("reason", ExitReason, ids=lambda reason: reason.name)
def test_every_exit_reason_says_what_causes_it_and_what_to_do(reason):
    topic = only("exit", str(int(reason)))
    assert topic.kind == f"exit reason {int(reason)}"
    assert topic.meaning == reason.title
    assert topic.source.startswith("Vol. 3C §")
    assert topic.cause
    assert topic.action
    assert topic in look_up([reason.name.lower().replace("_", "-")])


@pytest.mark.parametrize("reason", ABSENT, ids=lambda reason: reason.name)
def test_exits_that_never_happen_are_named_by_no_code(reason):
    described = {"exit_reasons.py", "instruction_information.py", "qualifications.py"}
    named = [module for module, text in sources("**/*.py").items() if re.search(rf"\bExitReason\.{reason.name}\b", text)]
    assert set(named) <= described


@pytest.mark.parametrize(("reason", "controls"), CONTROLS.items(), ids=lambda value: getattr(value, "name", None))
def test_a_control_that_makes_an_instruction_exit_exists(reason, controls):
    for name in re.split("” (?:and|or) “", controls):
        assert name.partition(", with")[0] in control_names()


@pytest.mark.parametrize("reason", QUALIFICATIONS, ids=lambda reason: reason.name)
def test_every_qualification_is_decoded(reason):
    layout = QUALIFICATIONS[reason].layout
    lowest = layout.fields[0]
    topic = only(reason.name, hex(1 << lowest.low))
    assert topic.kind == "exit qualification"
    assert [(part.place.split(":")[0], part.value) for part in topic.parts] == [(topic.parts[0].place.split(":")[0], 1)]


@pytest.mark.parametrize("error", InstructionError, ids=lambda error: error.name)
def test_every_error_says_what_it_means(error):
    topic = only("error", str(int(error)))
    assert (topic.meaning, topic.cause) == (error.meaning, error.cause)
    assert topic.source == "Vol. 3C §31.4 “VM Instruction Error Numbers”"


@pytest.mark.parametrize("which", VmcsField, ids=lambda which: which.name)
def test_every_field_is_found_by_name_and_encoding(which):
    topic = only("field", which.name)
    assert only("field", hex(which)) == topic
    assert dict(topic.facts)["Encoding"].startswith(f"{int(which):#06x}")
    assert str(look_up([which.name, "0"])[-1])


@pytest.mark.parametrize("name", sorted(set(control_names())))
def test_every_control_is_found_by_its_name_in_the_manual(name):
    topics = look_up(["control", *name.split()])
    assert {topic.title for topic in topics} == {f"“{name}”"}
    assert all(topic.source.startswith("Vol. 3C §25.") for topic in topics)


@pytest.mark.parametrize("address", [*range(0x480, 0x494), 0x1B, 0x3A, 0xC000_0080])
def test_an_msr_is_found_by_name_and_address(address):
    if address not in MSRS:
        return
    assert only("msr", hex(address)) == only("msr", MSRS[address].name)
    assert only("msr", MSRS[address].name.removeprefix("IA32_").lower()).title == MSRS[address].name


@pytest.mark.parametrize("msr", MSRS.values(), ids=lambda msr: msr.name)
def test_every_msr_says_what_it_is_for(msr):
    meaning = only("msr", msr.name).meaning
    assert meaning
    assert meaning not in {Whole.__doc__, LinearAddress.__doc__}


def test_every_purpose_is_that_of_an_msr():
    plain = {msr.name for msr in MSRS.values() if msr.layout in {Whole, LinearAddress}}
    assert [pattern for pattern in PURPOSES if not any(re.fullmatch(pattern, name) for name in plain)] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_is_found_by_id_and_key(rule):
    assert rule.explanation in {topic.meaning for topic in look_up([rule.name])}
    for key in rule.keys:
        assert rule.name in {topic.title for topic in look_up([key])}


@pytest.mark.parametrize("word", REGISTERS)
def test_every_register_word_decodes_all_ones(word):
    layout = REGISTERS[word][1].layout
    topic = look_up([word, hex((1 << layout.width) - 1)])[-1]
    assert len(topic.parts) >= len(layout.fields)


def test_an_ept_violation_in_short():
    assert str(only("ept-violation", "0x181")) == (
        "EPT VIOLATION (exit qualification)\n"
        "  EPT does not allow the access.\n"
        "  Value: 0x0000000000000181\n"
        "  In short: read of the translated address; EPT maps nothing there\n"
        "  place  name          value  meaning\n"
        "  bit 0  read          1      the access was a data read\n"
        "  bit 7  linear valid  1      the guest-linear-address field is valid\n"
        "  bit 8  translated    1      the access was to the translated address; 0: to a paging entry on the way\n"
        "  Usual cause: the guest-physical address is not mapped, or not for this kind of access.\n"
        "  What to do: map it or emulate the access, INVEPT if a present entry changed, and resume without touching RIP;"
        " do not inject #PF.\n"
        "  Vol. 3C §28.2.1 “Basic VM-Exit Information”"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0x8a", "write of a guest paging entry on the way; EPT allows reads"),
        ("0x1ac", "instruction fetch of the translated address; EPT allows reads and fetches"),
        ("0x3", "read and write; EPT maps nothing there"),
    ],
)
def test_ept_violations_say_who_did_what(value, text):
    assert dict(only("48", value).facts)["In short"] == text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("0x80000021",), "Basic exit reason: 33, INVALID GUEST STATE"),
        (("invalid-guest-state", "4"), "Meaning: the VMCS link pointer is not valid"),
        (("access-rights", "0xa09b"), "Value: 0x0000a09b: code readable accessed, DPL 0, present, L, G"),
        (("GUEST_TR_ACCESS_RIGHTS", "0x8b"), "Value: 0x0000008b: busy TSS, DPL 0, present"),
        (("GUEST_LDTR_AR_BYTES", "0x10000"), "Value: 0x00010000: unusable"),
        (("efer", "0xd01"), "bit 11  NXE   1      execute-disable bit in paging entries"),
        (("cr4", "0x2020"), "bit 13  VMXE  1      VMX instructions enabled"),
        (("pat", "0x0007040600070406"), "WB, WT, UC_MINUS, UC, WB, WT, UC_MINUS, UC"),
        (("VM_ENTRY_INTERRUPTION_INFORMATION", "0x80000b0d"), "hardware exception, vector 13 #GP, with error code"),
        (("EXCEPTION_BITMAP", "0x60042"), "Value: 0x00060042: #DB #UD #AC #MC"),
        (("EPTP", "0x5005e"), "table at 0x50000, 4 levels, WB, accessed and dirty flags"),
        (("GUEST_ACTIVITY_STATE", "1"), "Value: 0x00000001: hlt"),
        (("unrestricted guest",), "Needs: “enable EPT”"),
        (("“unrestricted", "guest”"), "Counts only under: “activate secondary controls”"),
        (("enable EPT",), "Goes with the fields: EPTP, GUEST_PHYSICAL_ADDRESS, GUEST_PDPTE0"),
        (("rule", "27.2.1.1#35"), "eptp.memory_type (entry rule"),
        (("IA32_MTRR_FIX16K_A0000",), "Memory types of the eight ranges of 16K from A0000H."),
        (("0x6e0",), "at which the local APIC's timer interrupts; 0 disarms it."),
        (("pf",), "Vector: 14: bit 14 of the exception bitmap makes it exit"),
        (("exceptions",), "21      #CP"),
        (("rules",), "5       injection.nmi_vector"),
        (("77",), "In vmxon: it never happens: there is no SEAM\n  Usual cause: TDCALL always exits."),
        (("tpause",), "Usual cause: “enable user wait and pause” and “RDTSC exiting” are 1."),
        (("vmcall",), "add the VM-exit instruction length to GUEST_RIP"),
    ],
)
def test_what_an_item_says(words, expected):
    assert expected in "\n\n".join(map(str, look_up(words)))


@pytest.mark.parametrize(
    ("word", "row"),
    [
        ("exits", "48      ept-violation"),
        ("errors", "7       entry-controls"),
        ("fields", "0x681e  GUEST_RIP"),
        ("controls", "secondary 7       unrestricted guest"),
        ("msrs", "0x480       IA32_VMX_BASIC"),
    ],
)
def test_everything_of_a_kind(word, row):
    assert f"\n  {row}" in str(only(word))


def test_exceptions_by_mnemonic_and_vector():
    assert only("#GP") == only("exception", "13")
    assert dict(only("#PF").facts)["Vector"] == "14: bit 14 of the exception bitmap makes it exit"


def test_a_number_may_mean_several_things():
    assert [topic.kind for topic in look_up(["7"])] == ["exit reason 7", "VM-instruction error 7"]
    assert [topic.kind for topic in look_up(["0x480"])] == ["MSR"]
    assert [topic.kind for topic in look_up(["0x6800"])] == ["VMCS field"]
    assert [topic.title for topic in look_up(["0x2011"])] == ["TSC_OFFSET"]
    with pytest.raises(VmxonError):
        look_up(["0x6801"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ept-violaton", "nothing is called 'ept-violaton'; nearest: ept-violation"),
        ("GUEST_CRO", "nothing is called 'GUEST_CRO'; nearest: GUEST_CR4, GUEST_CR3, GUEST_CR0"),
        ("unrestrictd guest", "nearest: unrestricted guest"),
        ("guest.rflag", "nearest: guest.rflags.reserved, guest.rflags.bit_1"),
        ("exit 999", "nothing is called 'exit 999'; vmxon explain exits lists them"),
        ("exception 99", "nothing is called 'exception 99'; vmxon explain exceptions lists them"),
        ("GUEST_CS", "nearest: GUEST_CS_SELECTOR, GUEST_CS_LIMIT, GUEST_CS_ACCESS_RIGHTS, GUEST_CS_BASE"),
        (
            "0x6DC",
            (
                "no exit reason, error, field or MSR has the number 0x6DC;"
                " vmxon explain exits, errors, fields and msrs list those that vmxon has"
            ),
        ),
        ("qqqqqq", "nothing is called 'qqqqqq'; vmxon explain --help shows what can be asked"),
        ("VPID 0x10000", "0x10000 does not fit VPID, expected a value of 16 bits"),
        ("access-rights 0x100000000", "0x100000000 does not fit access-rights, expected a value of 32 bits"),
    ],
)
def test_unknown_items_name_the_nearest(text, message):
    with pytest.raises(VmxonError) as caught:
        look_up(text.split())
    assert message in str(caught.value)


@given(st.lists(st.text(max_size=40) | st.integers().map(hex), max_size=4))
def test_anything_has_topics_or_one_line(words):
    try:
        shown = "\n".join(map(str, look_up(words)))
    except VmxonError as error:
        shown = str(error)
    assert shown


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("33", 33),
        ("0x21", 33),
        ("21H", 33),
        ("0x1_0000", 65536),
        ("-1", None),
        ("each", None),
        ("0x1h", None),
        ("", None),
        ("x", None),
        ("1" * 30, None),
        ("٣", None),
    ],
)
def test_numbers_as_people_write_them(text, value):
    assert integer(text) == value


def test_names_of_linux_are_understood():
    assert find_field("GUEST_CS_AR_BYTES") is VmcsField.GUEST_CS_ACCESS_RIGHTS
    assert find_field("CPU_BASED_VM_EXEC_CONTROL") is VmcsField.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS
    assert find_field("VM_EXIT_INSTRUCTION_LEN") is VmcsField.VM_EXIT_INSTRUCTION_LENGTH
    assert find_field("VM_EXIT_INSTRUCTION_LENGTH") is VmcsField.VM_EXIT_INSTRUCTION_LENGTH
    assert find_field("EPT_POINTER") is VmcsField.EPTP
    assert find_field("GUEST_SYSENTER_ESP") is VmcsField.GUEST_IA32_SYSENTER_ESP
    efer = find_msr("MSR_IA32_EFER")
    assert efer is not None
    assert efer.address == 0xC000_0080
