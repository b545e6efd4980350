"""Novelty: calibrated on what came before."""

import random

import pytest

from burnish.stats.novelty import CALIBRATION_NEEDED, NoveltyReference


def usual(rng: random.Random, *, numbers: bool = False) -> dict[str, str | float | bool]:
    row: dict[str, str | float | bool] = {
        "task_type": rng.choices("abcdef", [30, 20, 10, 5, 2, 1])[0],
        "language": rng.choice(["python", "go", "rust"]),
        "urgent": rng.random() < 0.2,
        "repository": f"r{int(rng.paretovariate(1.2))}",
    }
    return row | ({"tokens": rng.lognormvariate(7, 1), "files": rng.gauss(5, 2)} if numbers else {})


def filled(runs: int = 400, *, numbers: bool = False, seed: int = 0) -> tuple[NoveltyReference, random.Random]:
    rng, reference = random.Random(seed), NoveltyReference()
    for _ in range(runs):
        reference.add(usual(rng, numbers=numbers))
    return reference, rng


def test_unknown_until_nineteen_runs_are_scored() -> None:
    reference, rng = filled(CALIBRATION_NEEDED)
    assert reference.novelty(usual(rng)) is None
    reference.add(usual(rng))
    assert reference.novelty(usual(rng)) is not None


@pytest.mark.parametrize("numbers", [False, True])
def test_false_alarms_keep_to_their_nominal_five_percent(numbers: bool) -> None:
    alarms = tests = 0
    for seed in range(4):
        reference, rng = filled(250, numbers=numbers, seed=seed)
        for _ in range(250):
            row = usual(rng, numbers=numbers)
            alarms += (reference.novelty(row) or 0.0) > 0.95
            tests += 1
            reference.add(row)
    assert 0.02 <= alarms / tests <= 0.07


def test_a_value_never_seen_is_novel() -> None:
    reference, rng = filled()
    assert all((reference.novelty(usual(rng) | {"task_type": "new"}) or 0.0) > 0.95 for _ in range(20))


def test_a_number_far_out_is_novel_though_all_categories_are_usual() -> None:
    reference, rng = filled(numbers=True)
    row = {"task_type": "a", "language": "go", "urgent": False, "repository": "r1", "tokens": 1000.0}
    assert (reference.novelty(row | {"files": 60.0}) or 0.0) > 0.95
    assert (reference.novelty(row | {"files": 5.0}) or 0.0) < 0.9
    assert rng is not None


def test_the_same_row_again_is_not_novel() -> None:
    reference = NoveltyReference()
    for _ in range(50):
        reference.add({"task_type": "a", "size": 3})
    assert reference.novelty({"task_type": "a", "size": 3}) == 0.0


def test_what_was_strange_becomes_usual() -> None:
    reference, rng = filled()
    row = usual(rng) | {"task_type": "new"}
    before = reference.novelty(row)
    for _ in range(200):
        reference.add(row)
    assert before is not None
    assert before > 0.95
    assert (reference.novelty(row) or 0.0) < 0.5


def test_the_window_forgets() -> None:
    reference = NoveltyReference(reference=50, calibration=30)
    for i in range(300):
        reference.add({"phase": "old" if i < 150 else "new", "n": float(i < 150)})
    assert (reference.novelty({"phase": "old", "n": 1.0}) or 0.0) > 0.95
    assert reference.novelty({"phase": "new", "n": 0.0}) == 0.0


def test_a_missing_feature_is_a_value_too() -> None:
    reference, _ = filled()
    assert (reference.novelty({}) or 0.0) > 0.95


def test_the_same_history_gives_the_same_novelty() -> None:
    one, other = filled(numbers=True)[0], filled(numbers=True)[0]
    row = usual(random.Random(9), numbers=True)
    assert one.novelty(row) == other.novelty(row)
