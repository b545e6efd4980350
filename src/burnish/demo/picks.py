"""Choose ten runs worth explaining: one a situation, in the order they happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from burnish.demo.records import Alarm, Step
from burnish.testing.world import SOLVED

MOST = 10
SURE = 0.9
UNLIKELY = 0.1

Wanted = Callable[[Step], bool]


def picked(steps: Sequence[Step], alarms: Sequence[Alarm]) -> list[tuple[int, str]]:
    """Return (run, counted from 1; why it is worth reading), at most ten, each run once."""
    found: dict[int, str] = {}
    for number, why in _situations(steps, alarms):
        if number is not None and len(found) < MOST:
            found.setdefault(number, why)
    for number in range(len(steps), 0, -max(1, len(steps) // (2 * MOST))):
        if len(found) < min(MOST, len(steps)):
            found.setdefault(number, "a run like any other")
    return sorted(found.items())


def _situations(steps: Sequence[Step], alarms: Sequence[Alarm]) -> Iterator[tuple[int | None, str]]:
    learning = [step.act == "learn" for step in steps]
    learned = sum(learning)
    began = next((k for k, step in enumerate(steps, start=1) if step.act == "drift"), len(steps) + 1)
    yield 1, "the first run: nothing is known"
    yield _last(steps, learned, lambda s: s.rule == "learned" and s.propensity > SURE), "what was learned, applied"
    yield _last(steps, learned, lambda s: s.rule == "learned" and s.propensity < UNLIKELY), "exploration, on purpose"
    yield _first(steps, 1, lambda s: s.attempts == 2 and s.quality >= SOLVED), "a fallback that rescued the run"
    yield _first(steps, 1, lambda s: s.attempts > 2 and s.quality >= SOLVED), "rescued at a later attempt"
    yield _first(steps, 1, lambda s: s.act == "check" and s.quality < SOLVED), "no attempt succeeded"
    noticed = next((alarm.at for alarm in alarms if alarm.at >= began), None)
    yield noticed, "the run that raised the drift alarm"
    yield _first(steps, noticed or began, lambda s: s.rule == "drift"), "another model steps in after the alarm"
    yield _first(steps, 1, lambda s: s.rule == "novelty"), "a task unlike those before"
    for task_type in sorted({step.task_type for step in steps}):
        yield _last(steps, len(steps), _of(task_type, steps[-1].round)), f"{task_type}, at the end"


def _of(task_type: str, last_round: int) -> Wanted:
    return lambda step: step.task_type == task_type and step.rule == "learned" and step.round == last_round


def _first(steps: Sequence[Step], start: int, wanted: Wanted) -> int | None:
    return next((k for k in range(start, len(steps) + 1) if wanted(steps[k - 1])), None)


def _last(steps: Sequence[Step], end: int, wanted: Wanted) -> int | None:
    return next((k for k in range(end, 0, -1) if wanted(steps[k - 1])), None)
