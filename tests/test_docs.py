"""The documentation: links lead somewhere, and what it says about the project is what the project has."""

import re
import tomllib
from pathlib import Path

import pytest

from vmxon.cli.main import SUBCOMMANDS

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("changelog.d/*.md")])
KINDS = ("added", "changed", "fixed", "removed")


def anchor(heading: str) -> str:
    """The anchor that a forge gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page: Path) -> None:
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, fragment = target.partition("#")
        found = (page.parent / name).resolve() if name else page
        assert found.exists(), f"{target} leads nowhere"
        assert found.is_relative_to(ROOT), f"{target} leaves the project"
        if fragment and found.suffix == ".md":
            headings = re.findall(r"^#+ (.*)$", found.read_text(encoding="utf-8"), re.MULTILINE)
            assert fragment in map(anchor, headings), f"{target}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_table_is_broken_by_a_blank_line(page: Path) -> None:
    assert not re.search(r"^\|.*\n\n\|", page.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_the_readme_says_what_a_command_does(name: str) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"^\| .*`vmxon {name}\b", readme, re.MULTILINE)


def test_the_reading_guide_leads_into_every_folder() -> None:
    guide = (ROOT / "docs/reading-guide.md").read_text(encoding="utf-8")
    folders = [init.parent.relative_to(ROOT / "src").as_posix() for init in (ROOT / "src").rglob("__init__.py")]
    assert [folder for folder in folders if f"](../src/{folder}/" not in guide] == []


def test_every_decision_is_listed_and_numbered_in_order() -> None:
    records = sorted(path.name for path in (ROOT / "docs/decisions").glob("[0-9]*.md"))
    assert [int(name[:4]) for name in records] == list(range(1, len(records) + 1))
    listed = re.findall(r"\]\((\d{4}-[^)]+)\)", (ROOT / "docs/decisions/README.md").read_text(encoding="utf-8"))
    assert set(records) == set(listed)


@pytest.mark.parametrize("record", sorted((ROOT / "docs/decisions").glob("[0-9]*.md")), ids=lambda path: path.name)
def test_a_decision_has_the_headings_of_one(record: Path) -> None:
    text = record.read_text(encoding="utf-8")
    assert text.startswith(f"# {int(record.name[:4])}. ")
    assert "\nStatus: " in text
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert [h for h in headings if h in {"Question", "Decision", "Consequences"}] == [
        *("Question", "Decision", "Consequences")
    ]


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split(r"[<>=~! ]", requirement)[0] for requirement in project["dependencies"]}
    record = (ROOT / "docs/decisions/0001-libraries.md").read_text(encoding="utf-8")
    assert names == set(re.findall(r"^\| ([a-z]\w*) \| [≥\d]", record, re.MULTILINE))


def test_changelog_fragments_have_a_kind() -> None:
    fragments = [path for path in (ROOT / "changelog.d").iterdir() if path.name != "README.md"]
    assert all(re.fullmatch(rf"[\w-]+\.({'|'.join(KINDS)})\.md", path.name) for path in fragments)


def test_the_makefile_lists_its_targets() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    documented = re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE)
    phony = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split()
    assert documented == phony
