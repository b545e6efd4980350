"""The documents are true: their code runs, and nothing that exists is left out of the reference."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from burnish import events
from burnish.cli import main
from burnish.govern.keys import KEYS
from burnish.run import FAILURE_KINDS
from burnish.score.terms import TERMS
from burnish.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "ARCHITECTURE.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("**/*.md")),
]
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
SNIPPETS = [(page, code) for page in PAGES for code in BLOCK.findall(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(("page", "code"), SNIPPETS, ids=lambda value: value.name if isinstance(value, Path) else "")
def test_python_in_the_documents_runs(page: Path, code: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, f"{page.name}: {done.stderr}"
    assert done.stdout


def test_the_readme_example_is_about_twenty_lines() -> None:
    lines = [line for page, code in SNIPPETS if page.name == "README.md" for line in code.splitlines() if line.strip()]
    assert 10 <= len(lines) <= 24


@pytest.mark.parametrize(
    "name",
    [
        *(f"`{name}`" for name in Settings.__struct_fields__),
        *(f"`{name}`" for name in KEYS),
        *(f"`{name}`" for name in TERMS),
        *(f"`{name}`" for name in FAILURE_KINDS),
        *(
            f"`{name}`"
            for name, kind in inspect.getmembers(events, inspect.isclass)
            if issubclass(kind, events.Event) and kind is not events.Event
        ),
        *(f"`burnish {name}`" for name in sorted(main.list_commands(click.Context(main)))),
    ],
)
def test_the_reference_names_everything_there_is(name: str) -> None:
    assert name in REFERENCE


def test_the_annotated_tree_names_every_folder_and_nothing_else() -> None:
    tree = re.search(
        r"^```\nsrc/burnish/\n(.*?)^tests/", (ROOT / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    assert tree is not None
    named = set(re.findall(r"([a-z]+)/", tree.group(1)))
    there = {path.name for path in (ROOT / "src" / "burnish").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert named == there


def test_every_dependency_has_its_reason() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    reasons = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    wanted = [
        *project["project"]["dependencies"],
        *(name for names in project["project"]["optional-dependencies"].values() for name in names),
        *(name for names in project["dependency-groups"].values() for name in names if isinstance(name, str)),
    ]
    names = {re.split(r"[\[>=<]", name)[0].lower() for name in wanted} - {"burnish"}
    assert [name for name in sorted(names) if name.split("-")[0] not in reasons] == []


def test_links_between_the_documents_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"
