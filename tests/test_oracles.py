"""A missing oracle: a skip with its reason here, a failure in CI, and nothing for a test that asks for none."""

import shutil

import pytest

from tests.conftest import COMMAND_OF_MARKER, pytest_runtest_setup


@pytest.fixture
def marked(request: pytest.FixtureRequest) -> pytest.Item:
    """This very test, as an item that carries a marker."""
    assert isinstance(request.node, pytest.Item)
    return request.node


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No command is found."""
    monkeypatch.setattr(shutil, "which", lambda command: None)


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.parametrize(("marker", "command"), COMMAND_OF_MARKER.items())
def test_a_missing_oracle_skips_with_its_reason(
    marked: pytest.Item, monkeypatch: pytest.MonkeyPatch, marker: str, command: str
) -> None:
    monkeypatch.delenv("VMXON_CI", raising=False)
    marked.add_marker(marker)
    with pytest.raises(pytest.skip.Exception, match=f"{command} is not installed"):
        pytest_runtest_setup(marked)


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.parametrize(("marker", "command"), COMMAND_OF_MARKER.items())
def test_a_missing_oracle_fails_in_ci(
    marked: pytest.Item, monkeypatch: pytest.MonkeyPatch, marker: str, command: str
) -> None:
    monkeypatch.setenv("VMXON_CI", "1")
    marked.add_marker(marker)
    with pytest.raises(pytest.fail.Exception, match=f"{command} is not installed"):
        pytest_runtest_setup(marked)


@pytest.mark.usefixtures("nothing_installed")
def test_a_test_without_marker_runs(marked: pytest.Item, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMXON_CI", "1")
    pytest_runtest_setup(marked)
