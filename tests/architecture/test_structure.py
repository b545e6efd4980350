"""The shape of the house: imports run one way along the loop, files stay small, the public face is what it says."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

import burnish

SOURCE = Path(burnish.__file__).parent
LAYERS = (
    ("stats", "clock", "errors"),
    ("ids", "settings", "events"),
    ("store",),
    ("govern",),
    ("capture",),
    ("score",),
    ("curate",),
    ("learn",),
    ("propose",),
    ("trial",),
    ("act",),
    ("run", "answers", "turn", "shadowing", "proving"),
    ("loop",),
    ("testing",),
    ("web", "api", "gateway", "mcp"),
    ("demo",),
    ("cli",),
)
FLOOR = {name: floor for floor, names in enumerate(LAYERS) for name in names}
LONGEST_FILE = 600
MEDIAN_FILE = 200


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, names: set[str]) -> set[str]:
    """Modules of ours that a file imports anywhere in it, also inside functions; not those for type checkers only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    hidden = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
            found.add(node.module)
    return found & names


def layer(module: str) -> str:
    """The folder or file directly below the package that a module belongs to."""
    return module.split(".")[1] if "." in module else ""


def graph() -> dict[str, set[str]]:
    """Who imports whom, the package's own face left out (it hands names on, lazily)."""
    found = modules()
    names = set(found) - {"burnish"}
    return {name: imports(path, names) - {name} for name, path in found.items() if name != "burnish"}


def test_every_module_has_a_place_in_the_loop() -> None:
    assert {layer(name) for name in graph()} - set(FLOOR) == set()


def test_imports_run_one_way_along_the_loop() -> None:
    back = [
        f"{name} imports {other}"
        for name, others in graph().items()
        for other in sorted(others)
        if FLOOR[layer(other)] > FLOOR[layer(name)]
    ]
    assert back == []


def test_no_module_is_part_of_an_import_cycle() -> None:
    within = {n: {o for o in others if not o.startswith(n + ".")} for n, others in graph().items()}
    packages = {name for name, path in modules().items() if path.name == "__init__.py"}
    TopologicalSorter({n: others - packages for n, others in within.items()}).prepare()


def test_stats_know_nothing_of_the_product() -> None:
    others = {o for name, found in graph().items() if layer(name) == "stats" for o in found if layer(o) != "stats"}
    assert others == set()


def test_files_stay_small() -> None:
    lengths = sorted(len(path.read_text(encoding="utf-8").splitlines()) for path in modules().values())
    assert lengths[-1] <= LONGEST_FILE
    assert lengths[len(lengths) // 2] <= MEDIAN_FILE


@pytest.mark.parametrize("name", ["utils", "helpers", "common", "models", "misc"])
def test_no_file_is_named_for_nothing(name: str) -> None:
    files = [path for path in modules().values() if path.stem == name and path.parent.name != "cli"]
    assert files == []


def test_the_public_face_is_small_and_every_name_of_it_exists() -> None:
    assert len(burnish.__all__) <= 25
    assert burnish.__all__ == sorted(burnish.__all__, key=lambda n: (n.startswith("_") or n[0].islower(), n))
    for name in burnish.__all__:
        assert getattr(burnish, name) is not None


def test_every_module_says_what_it_is_for() -> None:
    silent = [name for name, path in modules().items() if not ast.get_docstring(ast.parse(path.read_text("utf-8")))]
    assert silent == []


def test_nothing_is_left_to_do_in_comments() -> None:
    mark = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
    assert [name for name, path in modules().items() if mark.search(path.read_text(encoding="utf-8"))] == []


def test_importing_the_package_loads_nothing_heavy() -> None:
    import subprocess
    import sys

    heavy = ("numpy", "sqlalchemy", "rich", "alembic", "cryptography", "rfc8785", "re2", "ahocorasick")
    script = f"import sys, burnish; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_each_record_of_an_exported_module_imports() -> None:
    for name in modules():
        if not name.startswith(("burnish.store.migrations", "burnish.testing")):
            import_module(name)
