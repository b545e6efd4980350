"""Every built-in pattern recognises its error, gives the fix filled in, and leaves the look-alike alone."""

from __future__ import annotations

import pytest

from burnish.learn.errors.builtin import BuiltIn, built_in, entries
from burnish.learn.errors.matcher import Hit, built
from burnish.learn.errors.pattern import BUILT_IN_CONFIDENCE, CATEGORIES, FIX_TYPES, filled

ALL = built(built_in())
IDS = [entry.id for entry in entries()]
AREAS = ("py-", "js-", "ts-", "npm-", "pip-", "git-", "docker-", "pg-", "sqlite-", "http-", "llm-", "ruff-", "eslint-")


def found(message: str) -> dict[str, Hit]:
    return {pattern.id: hit for hit in ALL.search(message) for pattern in hit.patterns}


def test_there_are_many_from_every_area() -> None:
    assert len(IDS) == len(set(IDS)) >= 40
    assert [area for area in AREAS if not any(name.startswith(area) for name in IDS)] == []
    assert {pattern.category for pattern in built_in()} == set(CATEGORIES)
    assert {pattern.fix_type for pattern in built_in()} <= set(FIX_TYPES)
    assert {pattern.confidence for pattern in built_in()} == {BUILT_IN_CONFIDENCE}


@pytest.mark.parametrize("entry", entries(), ids=IDS)
def test_it_gives_the_fix_of_its_example(entry: BuiltIn) -> None:
    hit = found(entry.example).get(f"builtin:{entry.id}")
    assert hit is not None
    assert filled(entry.fix, hit.captures) == entry.filled


@pytest.mark.parametrize("entry", entries(), ids=IDS)
def test_it_finds_its_example_in_the_middle_of_a_log(entry: BuiltIn) -> None:
    log = f"12:00:01 INFO starting\n{entry.example}\n12:00:02 INFO stopping\n" * 3
    assert f"builtin:{entry.id}" in found(log)


@pytest.mark.parametrize("entry", entries(), ids=IDS)
def test_it_leaves_the_near_miss_alone(entry: BuiltIn) -> None:
    assert f"builtin:{entry.id}" not in found(entry.near_miss)


def test_no_example_is_taken_for_another_error() -> None:
    allowed = {("py-none-attribute", "py-no-attribute")}
    taken = {
        (entry.id, name.removeprefix("builtin:"))
        for entry in entries()
        for name in found(entry.example)
        if name != f"builtin:{entry.id}"
    }
    assert taken == allowed
