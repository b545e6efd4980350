"""The recorded world: what was recorded comes back exactly, and what is wrong with a file is said once and plainly."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from burnish.errors import InvalidValue
from burnish.testing.world import RecordedWorld

Row = dict[str, object]
HEADER = "task_id,task_type,model,success,cost_usd\n"
RESULTS = {"small": {"easy": 1, "hard": 0}, "large": {"easy": 1, "hard": 1}}
COSTS = {"small": 0.1, "large": 1.0}


def rows(tasks: int = 10) -> list[Row]:
    """An easy and a hard kind of task; the small model fails at hard ones and costs a tenth."""
    return [
        {
            "task_id": f"{kind}-{i}",
            "task_type": kind,
            "model": model,
            "success": results[kind],
            "cost_usd": COSTS[model],
        }
        for kind in ("easy", "hard")
        for i in range(tasks)
        for model, results in RESULTS.items()
    ]


@pytest.fixture
def world() -> RecordedWorld:
    return RecordedWorld.of(rows())


def test_every_recorded_outcome_comes_back(world: RecordedWorld) -> None:
    for row in rows():
        outcome = world.outcome(str(row["task_id"]), str(row["model"]))
        assert (outcome.task_type, outcome.quality, outcome.cost_usd) == (
            row["task_type"],
            row["success"],
            row["cost_usd"],
        )
        assert outcome.success is bool(row["success"])
    assert world.models == ("large", "small")
    assert world.types == ("easy", "hard")
    assert not world.graded


def test_reference_policies_have_their_exact_values(world: RecordedWorld) -> None:
    found = world.references(price=0.1)
    assert found.best_single.models == {"easy": "large", "hard": "large"}
    assert found.best_single.utility == pytest.approx(1.0 - 0.1)
    assert found.cheapest.models == {"easy": "small", "hard": "small"}
    assert found.cheapest.utility == pytest.approx(0.5 - 0.01)
    assert found.random.utility == pytest.approx((0.9 + 0.49) / 2)
    assert found.type_oracle.models == {"easy": "small", "hard": "large"}
    assert found.type_oracle.utility == pytest.approx((0.99 + 0.9) / 2)
    assert found.task_oracle.utility == pytest.approx(found.type_oracle.utility)
    assert found.cheapest.loss == pytest.approx(0.5)


def test_the_value_of_shares_is_their_mean(world: RecordedWorld) -> None:
    half = {kind: {"small": 0.5, "large": 0.5} for kind in world.types}
    assert world.value("half", half, price=0.1).utility == pytest.approx(world.references(price=0.1).random.utility)


def test_a_round_is_a_permutation_and_the_same_whatever_else_is_asked_for(world: RecordedWorld) -> None:
    first, second = world.order(3, 2)
    assert sorted(t.id for t in first) == sorted(t.id for t in world.tasks)
    assert first != second
    assert world.order(3, 1, first=1) == [second]
    assert world.order(4, 1) != [first]


def test_a_degraded_model_loses_exactly_its_share_and_nobody_else_anything(world: RecordedWorld) -> None:
    worse = world.degraded("large", 0.4, seed=1, task_types=["hard"])
    lost = [t for t in world.tasks if world.outcome(t.id, "large") != worse.outcome(t.id, "large")]
    assert len(lost) == 4
    assert {t.type for t in lost} == {"hard"}
    assert all(world.outcome(t.id, "small") == worse.outcome(t.id, "small") for t in world.tasks)
    again = world.degraded("large", 0.4, seed=1, task_types=["hard"])
    assert [again.outcome(t.id, "large") for t in world.tasks] == [worse.outcome(t.id, "large") for t in world.tasks]
    with pytest.raises(InvalidValue, match="name a model"):
        world.degraded("nobody", 0.4, seed=1)


def test_of_duplicates_the_first_counts_and_unknown_costs_stand_at_their_mean() -> None:
    data = rows(2)
    data[0]["cost_usd"] = 0.3
    data[2]["cost_usd"] = ""
    world = RecordedWorld.of([*data, {**data[0], "success": "False", "cost_usd": 9}])
    assert world.outcome("easy-0", "small").success
    assert world.outcome("easy-1", "small").cost_usd == pytest.approx(0.3)
    assert world.imputed == 1


def test_tasks_without_every_model_are_left_out_and_counted() -> None:
    data = rows(3)
    world = RecordedWorld.of([data[0], *data[2:-1], {**data[-1], "success": ""}])
    assert world.left_out == 2
    assert len(world.tasks) == 4
    with pytest.raises(InvalidValue, match="none complete"):
        RecordedWorld.of([data[0], data[3]])


def test_scores_durations_and_words_are_kept() -> None:
    data = [{**row, "success": "0.25", "duration_s": "3.5", "task_text": "Do it"} for row in rows(1)]
    world = RecordedWorld.of(data)
    assert world.graded
    assert world.tasks[0].text == "Do it"
    outcome = world.outcome("easy-0", "small")
    assert (outcome.quality, outcome.success, outcome.duration_s) == (0.25, False, 3.5)


def test_a_plain_and_a_compressed_file_read_alike(tmp_path: Path) -> None:
    lines = HEADER + "".join(",".join(str(v) for v in row.values()) + "\n" for row in rows())
    plain, packed = tmp_path / "m.csv", tmp_path / "m.csv.gz"
    plain.write_text("\ufeff" + lines, encoding="utf-8")
    packed.write_bytes(gzip.compress(lines.encode()))
    assert RecordedWorld.load(plain).tasks == RecordedWorld.load(packed).tasks == RecordedWorld.of(rows()).tasks


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("task_id,task_type,model,success\n", r"line 1.*'cost_usd'"),
        (HEADER + "t,a,m,maybe,1\n", r"line 2, column success='maybe'.*True, False or a score"),
        (HEADER + "t,a,m,1.5,1\n", r"line 2, column success.*from 0 to 1"),
        (HEADER + "t,a,m,1,-1\n", r"line 2, column cost_usd.*at least 0"),
        (HEADER + "t,a,m,1,nan\n", r"column cost_usd"),
        (HEADER + "t,a,m,1,1\n,a,m,1,1\n", r"line 3, column task_id.*name of 1 to 200"),
        (HEADER + f"t,a,{'m' * 201},1,1\n", r"column model"),
        (HEADER + "t,a,m\x07,1,1\n", r"column model.*printable"),
        (HEADER + "t,a,m,1\n", r"line 2.*as many fields"),
        (HEADER + "t,a,m,1,1,1\n", r"line 2.*as many fields"),
        (HEADER + 't,a,"m,1,1\n', r"bad.csv, line .*comma-separated"),
        (HEADER, r"0 tasks"),
        ("", r"line 1"),
        (HEADER + "t,a,m,1,\n", r"column cost_usd='m'.*at least once"),
    ],
)
def test_a_bad_file_is_refused_with_its_line_and_a_remedy(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidValue, match=said) as caught:
        RecordedWorld.load(path)
    assert "bad.csv" in str(caught.value)


def test_a_file_that_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv.gz").write_bytes(b"not packed")
    (tmp_path / "latin.csv").write_bytes(HEADER.encode() + "ä".encode("latin-1"))
    for name, said in (
        ("x.csv.gz", "damaged"),
        ("latin.csv", "UTF-8"),
        ("none.csv", "No such file"),
        ("", "directory"),
    ):
        with pytest.raises(InvalidValue, match=said):
            RecordedWorld.load(tmp_path / name)
