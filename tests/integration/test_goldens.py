"""Golden datasets on both databases: one version a content, never changed, never shown to a proposer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import pytest
from sqlalchemy import update

from burnish.clock import SystemClock
from burnish.curate import goldens
from burnish.curate.goldens import GoldenDataset, GoldenItem
from burnish.curate.shield import Shield, shield
from burnish.errors import ContentChanged, InvalidValue, NotFound
from burnish.ids import UuidV7Source
from burnish.store.schema.curate import golden_datasets
from burnish.store.store import Store

NOW = datetime(2026, 3, 1, tzinfo=UTC)
IDS = UuidV7Source(SystemClock())
Damage = Callable[[list[dict[str, object]]], object]


def items(count: int = 3, **facts: object) -> list[GoldenItem]:
    return [GoldenItem(id=f"i{n}", task=f"Task {n}", inputs={"n": n}, **facts) for n in range(count)]  # type: ignore[arg-type]  # facts of a test


def freeze(store: Store, found: list[GoldenItem], name: str = "core", tenant: str = "t") -> GoldenDataset:
    with store.write() as connection:
        return goldens.freeze(connection, name, found, tenant=tenant, ids=IDS, now=NOW, note="why")


def load(store: Store, version: int | None = None, name: str = "core", tenant: str = "t") -> GoldenDataset:
    with store.read() as connection:
        return goldens.load(connection, name, version, tenant=tenant)


def test_other_content_is_the_next_version_and_the_same_content_the_same_one(store: Store) -> None:
    first = freeze(store, items(3))
    second = freeze(store, items(4))
    assert (first.version, second.version) == (1, 2)
    assert freeze(store, items(3)[::-1]) == first
    assert load(store) == second
    assert load(store, 1) == first
    assert (first.size, first.note, first.created_at) == (3, "why", NOW)
    with store.read() as connection:
        assert [v.version for v in goldens.versions(connection, tenant="t", name="core")] == [1, 2]
        assert goldens.versions(connection, tenant="t", name="other") == []


def test_every_kind_of_json_comes_back_as_it_was_frozen(store: Store) -> None:
    odd: object = {"a": [1e21, 1e16, 1e300, 5e-324, 1e-7, -0.0, 1.0, 2**53 - 1, True, None, "\\u0000 é 😀"], "": {}}
    kept = GoldenItem(
        id="x", task="t", task_type="k", features={"f": 1.5}, inputs=odd, expected=[odd], baseline_loss=0.25
    )
    freeze(store, [kept])
    assert load(store).items == [kept]


@pytest.mark.parametrize(
    "damage",
    [
        lambda stored: stored[0].update(task="Another task"),
        lambda stored: stored[0].update(expected="42"),
        lambda stored: stored[1].update(baseline_loss=1.0),
        lambda stored: stored.pop(),
        lambda stored: stored.append(dict(stored[0], id="i9")),
        lambda stored: stored.reverse(),
        lambda stored: stored[0].update(surplus=1),
        lambda stored: stored.clear(),
    ],
)
def test_a_set_that_was_changed_after_it_was_frozen_is_refused(store: Store, damage: Damage) -> None:
    frozen = freeze(store, items())
    stored = [msgspec.to_builtins(item) for item in frozen.items]
    damage(stored)
    with store.write() as connection:
        connection.execute(update(golden_datasets).values(items=stored))
    with pytest.raises(ContentChanged, match=r"golden dataset 'core', version 1 was changed.*restore it"):
        load(store)


def test_tenants_do_not_see_each_others_sets(store: Store) -> None:
    freeze(store, items(), tenant="a")
    assert freeze(store, items(2), tenant="b").version == 1
    with pytest.raises(NotFound, match="golden 'core'"):
        load(store, tenant="c")
    with pytest.raises(NotFound, match="core, version 2"):
        load(store, 2, tenant="a")


def test_freezing_at_the_same_time_gives_one_version_a_content(store: Store) -> None:
    threads = [threading.Thread(target=freeze, args=(store, items(1 + n % 4))) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as connection:
        found = goldens.versions(connection, tenant="t")
    assert [version.version for version in found] == [1, 2, 3, 4]
    assert {version.size for version in found} == {1, 2, 3, 4}


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ([], "0 items"),
        ([GoldenItem(id="")], "id=''"),
        ([GoldenItem(id="a\nb")], "printable"),
        ([GoldenItem(id="a"), GoldenItem(id="a")], "an id of its own"),
        ([GoldenItem(id="a", baseline_loss=1.5)], "baseline_loss of a"),
        ([GoldenItem(id="a", baseline_loss=float("nan"))], "baseline_loss of a"),
        ([GoldenItem(id="a", task="x\0y")], "NUL"),
        ([GoldenItem(id="a", inputs={"k\0": 1})], "NUL"),
        ([GoldenItem(id="a", inputs=float("inf"))], "canonical JSON"),
        ([GoldenItem(id="a", inputs=2**53)], "canonical JSON"),
        ([GoldenItem(id="a", inputs="\ud800")], "canonical JSON"),
        ([GoldenItem(id="a", inputs=object())], "canonical JSON"),
        ([GoldenItem(id="a", task_type="x" * 201)], "task_type of a"),
    ],
)
def test_what_cannot_be_kept_exactly_is_refused(store: Store, bad: list[GoldenItem], said: str) -> None:
    with pytest.raises(InvalidValue, match=said):
        freeze(store, bad)


def test_nesting_without_end_is_refused_in_words(store: Store) -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InvalidValue, match="nested too deeply"):
        freeze(store, [GoldenItem(id="a", inputs=deep)])


def test_the_shield_knows_every_golden_item_of_every_version_however_it_is_spelled(store: Store) -> None:
    freeze(store, items(3))
    freeze(store, [GoldenItem(id="z", task="Only in the second")])
    freeze(store, [GoldenItem(id="z", task="Of another tenant")], tenant="other")
    with store.read() as connection:
        found = shield(connection, tenant="t")
    shown = [("TASK  1\n", {"n": 1}), ("Task 1", {"n": 2}), ("only in the second", None), ("Of another tenant", None)]
    assert found.without_goldens(shown, lambda pair: pair) == [shown[1], shown[3]]
    with pytest.raises(InvalidValue, match="2 golden items") as caught:
        found.require_none(shown, lambda pair: pair)
    assert "Task" not in str(caught.value)
    found.require_none([shown[1]], lambda pair: pair)
    assert Shield().without_goldens(shown, lambda pair: pair) == shown
