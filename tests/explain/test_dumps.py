"""Reading dumps: each format gives back the fields it was written from, and hostile ones end in one clear line."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.explain.formats import KVM_SHOWS, XEN_SHOWS, kvm_text, xen_text
from tests.vmx.witness import LONG
from vmxon.errors import VmxonError
from vmxon.explain.dumps import read_capabilities, read_dump, read_dump_file
from vmxon.explain.record import Writer
from vmxon.vmx.fields import VmcsField as F


def scattered(seed):
    """A different value for every field, so that no two can be mixed up."""
    chance = random.Random(seed)
    return {which: chance.getrandbits(which.bits - (12 if "ACCESS" in which.name else 0)) for which in F}


@pytest.mark.parametrize(("write", "count", "name"), [(kvm_text, KVM_SHOWS, "Linux KVM"), (xen_text, XEN_SHOWS, "Xen")])
@pytest.mark.parametrize("seed", range(20))
def test_every_value_lands_in_its_field(write, count, name, seed):
    fields = scattered(seed)
    dump = read_dump(write(fields))
    assert dump.format == name
    assert len(dump.fields) == count
    assert {which: fields[which] for which in dump.fields} == dict(dump.fields)


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "kvm_intel: ",
        "[12345.678901] ",
        "[12345.678901][T4711] kvm_intel: ",
        "<3>[    1.000000] kvm_intel: ",
        "Nov 23 18:58:15 host-7 kernel: kvm_intel: ",
        "2026-11-23T18:58:15.123456+00:00 host-7 kernel: [    1.000000] kvm_intel: ",
        "> >> [ 2311.499051] kvm_intel: ",
    ],
)
def test_what_a_log_puts_before_the_lines_does_not_matter(prefix):
    assert read_dump(kvm_text(LONG, prefix=prefix)).fields == read_dump(kvm_text(LONG, prefix="")).fields


def test_xen_with_time_stamps_and_mail_quotes():
    text = xen_text(LONG, prefix=">> (XEN) [2026-11-23 14:09:46] ")
    assert read_dump(text).fields == read_dump(xen_text(LONG)).fields


@pytest.mark.parametrize("write", [kvm_text, xen_text])
def test_lines_that_a_mail_wrapped_are_read(write):
    wrapped = write(LONG).replace(", gh_mask", ", \ngh_mask").replace("RIP = ", "RIP = \n").replace(" TRBase", " \nTRBase")
    assert read_dump(wrapped).fields == read_dump(write(LONG)).fields


def test_effective_efer_is_no_field():
    assert F.GUEST_IA32_EFER not in read_dump(kvm_text(LONG)).fields
    loaded = read_dump(kvm_text({**LONG, F.GUEST_IA32_EFER: 0x500}))
    assert loaded.fields[F.GUEST_IA32_EFER] == 0x500
    assert F.GUEST_IA32_EFER not in read_dump(kvm_text(LONG).replace("(effective)", "(autoload)")).fields


def test_the_last_of_several_dumps_unless_asked():
    text = kvm_text({**LONG, F.GUEST_RIP: 0x1111}) + "noise\n" + kvm_text({**LONG, F.GUEST_RIP: 0x2222})
    last, first = read_dump(text), read_dump(text, number=1)
    assert (last.number, last.count, last.fields[F.GUEST_RIP]) == (2, 2, 0x2222)
    assert (first.number, first.fields[F.GUEST_RIP]) == (1, 0x1111)
    with pytest.raises(VmxonError, match=r"log: there is no dump number 3, expected a number from 1 to 2"):
        read_dump(text, "log", 3)


def test_a_dump_that_was_cut_shows_what_it_has():
    text = kvm_text(LONG)
    dump = read_dump(text[: text.index("*** Host State")])
    assert dump.fields[F.GUEST_CR0] == LONG[F.GUEST_CR0]
    assert F.HOST_CR0 not in dump.fields


def test_json_by_name_by_encoding_and_by_linux_name():
    dump = read_dump('{"GUEST_CR0": "0x31", "0x681E": 4096, "GUEST_CS_AR_BYTES": "0xa09b", "guest_rsp": "1000H", "HOST_CR0": null}')
    assert dict(dump.fields) == {F.GUEST_CR0: 0x31, F.GUEST_RIP: 4096, F.GUEST_CS_ACCESS_RIGHTS: 0xA09B, F.GUEST_RSP: 0x1000}
    assert (dump.format, dump.writers, dump.processor) == ("JSON", None, None)


def test_json_with_processor_and_provenance():
    dump = read_dump(
        json.dumps(
            {
                "fields": {"GUEST_CR0": 1},
                "capabilities": {"0x480": "0x1", "IA32_VMX_MISC": 2},
                "physical_width": 46,
                "provenance": {"GUEST_CR0": {"rip": "0xffff800000001000", "instruction": 7}},
            }
        )
    )
    assert dump.writers == {F.GUEST_CR0: Writer(0xFFFF_8000_0000_1000, 7)}
    assert dump.processor is not None
    assert dump.processor.capabilities == {0x480: 1, 0x485: 2}
    assert dump.processor.physical_width == 46


BAD = {
    "": "there is no VMCS dump in it, expected “*** Guest State ***” of Linux KVM or Xen, or JSON",
    "hello": "there is no VMCS dump in it",
    "*** Guest State ***": "the dump shows no field, expected lines such as",
    "{": "it is not JSON (line 1), expected a JSON object of fields",
    "{}": "the dump has no field",
    '{"GUEST_CR0": "x"}': "GUEST_CR0 is 'x', expected a number or a string such as “0x31”",
    '{"GUEST_CR0": true}': "GUEST_CR0 is 'True', expected a number",
    '{"GUEST_CR0": 1.5}': "GUEST_CR0 is '1.5', expected a number",
    '{"GUEST_CR0": -1}': "GUEST_CR0 is -1, expected a value of 64 bits",
    '{"VPID": 65536}': "VPID is 65536, expected a value of 16 bits",
    '{"GUEST_CR9": 1}': "'GUEST_CR9' is no VMCS field; nearest: GUEST_CR4, GUEST_CR3, GUEST_CR0",
    '{"fields": 3}': "'fields' is a int, expected an object",
    '{"fields": {"GUEST_CR0": 1}, "capabilities": {"480": 1}}': "'480' is no VMX capability MSR, expected 0x480 to 0x493",
    '{"fields": {"GUEST_CR0": 1}, "physical_width": 64}': "physical_width is 64, expected 32 to 52 bits",
    '{"fields": {"GUEST_CR0": 1}, "provenance": {"GUEST_CR0": 1}}': "'GUEST_CR0' is a int, expected an object",
    '{"GUEST_CR0": ' + "9" * 5000 + "}": "it is not JSON",
    '{"a":' * 100_000: "it is not JSON",
    kvm_text(LONG).replace("CS=0008", "CS=00080"): None,
    kvm_text(LONG).replace("CS=0008", "CS=80008"): "HOST_CS_SELECTOR is 0x0000000000080008, expected a value of 16 bits",
}


@pytest.mark.parametrize(("text", "message"), BAD.items(), ids=range(len(BAD)))
def test_a_bad_dump_ends_in_one_line(text, message):
    if message is None:
        assert read_dump(text).fields
        return
    with pytest.raises(VmxonError) as caught:
        read_dump(text, "file")
    assert str(caught.value).startswith("file: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def survives(text):
    """Reading ends in a dump whose values fit, or in one line."""
    try:
        fields, message = read_dump(text).fields, ""
    except VmxonError as error:
        fields, message = {}, str(error)
    assert fields or message
    assert message.isprintable()
    assert all(0 <= value < 1 << which.bits for which, value in fields.items())


@given(st.text() | st.text(alphabet='*{}[]":,0x9aGuestHoCrlSk \n'))
def test_any_text_is_a_dump_or_one_line(text):
    survives(text)
    survives("*** Guest State ***" + text)


KVM = kvm_text(LONG)


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(0, len(KVM) - 1), st.text(min_size=0, max_size=4), st.integers(0, 40)), min_size=1, max_size=6))
def test_a_damaged_dump_is_a_dump_or_one_line(changes):
    text = KVM
    for place, new, cut in changes:
        text = text[:place] + new + text[place + cut :]
    survives(text)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["GUEST_CR0", "rip", "instruction", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["fields", "capabilities", "provenance", "physical_width", "GUEST_CR0", "0x480", "?"]), JSON_VALUES))
def test_any_json_is_a_dump_or_one_line(value):
    survives(json.dumps(value))


def test_files(tmp_path):
    path = tmp_path / "vmcs.txt"
    path.write_text(kvm_text(LONG), encoding="utf-16")
    assert read_dump_file(str(path)).fields[F.GUEST_CR0] == LONG[F.GUEST_CR0]
    path.write_bytes(b"\xff\x00" + kvm_text(LONG).encode())
    assert read_dump_file(str(path)).fields[F.GUEST_CR0] == LONG[F.GUEST_CR0]
    with pytest.raises(VmxonError, match=r"nowhere: no such file or directory"):
        read_dump_file(str(tmp_path / "nowhere"))
    with pytest.raises(VmxonError, match="is a directory"):
        read_dump_file(str(tmp_path))
    with pytest.raises(VmxonError, match="embedded null"):
        read_dump_file("a\0b")


def test_capability_files(tmp_path):
    path = tmp_path / "msrs.json"
    path.write_text('{"0x480": "0xd8100000000001", "IA32_VMX_MISC": 5, "physical_width": 39}')
    processor = read_capabilities(str(path))
    assert processor.capabilities == {0x480: 0xD810_0000_0000_01, 0x485: 5}
    assert (processor.physical_width, processor.linear_width) == (39, None)
    path.write_text("[]")
    with pytest.raises(VmxonError, match="it is a JSON list, expected an object"):
        read_capabilities(str(path))
