"""Citations."""

from vmxon.arch.sdm import REVISION, Sdm


def test_citations_have_number_and_title() -> None:
    assert str(Sdm("3C", "27.2.1", "Checks on VMX Controls")) == "Vol. 3C §27.2.1 “Checks on VMX Controls”"
    assert str(Sdm("3D", "App. A.1", "Basic VMX Information")) == "Vol. 3D App. A.1 “Basic VMX Information”"


def test_one_revision() -> None:
    assert REVISION.startswith("325462-")
