"""Plan the calls of a replay, and put what came of them back together, item by item."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from burnish.curate.canonical import canonical, digest
from burnish.curate.goldens import GoldenDataset, GoldenItem
from burnish.errors import InvalidValue
from burnish.propose.policy import Policy
from burnish.trial.replay_calls import Call
from burnish.trial.replay_judgement import Pair
from burnish.trial.replay_record import ReplayItem, ReplayOutcome


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """One item of the plan."""

    item: ReplayItem
    sampled: bool
    """It counts for the mean difference."""
    golden: GoldenItem | None = None
    """The golden item it is checked as."""

    @property
    def both(self) -> bool:
        """Tell whether the baseline does it too; a golden item may bring along the loss to hold."""
        return self.sampled or self.golden is None or self.golden.baseline_loss is None


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One call of the plan: for which item, and on which side."""

    place: int
    candidate: bool
    call: Call


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """An item of the plan with what came of it, one outcome a seed and side."""

    place: Place
    candidate: list[ReplayOutcome]
    baseline: list[ReplayOutcome]

    @property
    def sampled(self) -> Pair:
        """Return the pair of both sides as they were measured."""
        return self._pair([_loss(outcome) for outcome in self.baseline])

    @property
    def golden(self) -> Pair:
        """Return the pair of the candidate and what must be held."""
        held = self.place.golden.baseline_loss if self.place.golden is not None else None
        return self.sampled if held is None else self._pair([held] * len(self.candidate))

    def _pair(self, baseline: Sequence[float]) -> Pair:
        failed = any(outcome.error is not None for outcome in (*self.candidate, *self.baseline))
        candidate = [_loss(outcome) for outcome in self.candidate]
        return Pair(item=self.place.item, candidate=candidate, baseline=baseline, failed=failed)


def plan(items: Sequence[ReplayItem], goldens: GoldenDataset | None) -> list[Place]:
    """Return what is to be done: golden items, then the others, each part in an order that says nothing about them.

    An item that is also golden, with the same id and content, is done once.
    """
    frozen = {} if goldens is None else {_mark(replayed(golden)): golden for golden in goldens.items}
    sampled = {_mark(item): item for item in items}
    first = [Place(item=replayed(golden), sampled=mark in sampled, golden=golden) for mark, golden in frozen.items()]
    others = [Place(item=item, sampled=True) for mark, item in sampled.items() if mark not in frozen]
    return [*sorted(first, key=_turn), *sorted(others, key=_turn)]


def steps(places: Sequence[Place], candidate: Policy, baseline: Policy | None, seeds: Sequence[int]) -> Iterator[Step]:
    """Yield every call: both sides of a seed side by side, and neither always first.

    What changes with time, and what the first call warms for the second, then hits both alike.
    """
    for number, place in enumerate(places):
        turn = _turn(place)[0]
        for position, seed in enumerate(seeds):
            sides = (True, False) if (turn + position) % 2 else (False, True)
            for side in sides:
                if side or place.both:
                    yield Step(
                        place=number, candidate=side, call=Call(candidate if side else baseline, place.item, seed)
                    )


def gather(places: Sequence[Place], planned: Sequence[Step], outcomes: Sequence[ReplayOutcome]) -> list[Done]:
    """Return the items of which every call counts, sampled ones in the order of their turns."""
    found = [Done(place=place, candidate=[], baseline=[]) for place in places]
    wanted = Counter(step.place for step in planned)
    for step, outcome in zip(planned, outcomes, strict=False):  # the calls that count are the first of those planned
        done = found[step.place]
        (done.candidate if step.candidate else done.baseline).append(outcome)
    whole = [one for at, one in enumerate(found) if len(one.candidate) + len(one.baseline) == wanted[at]]
    return sorted(whole, key=lambda one: _turn(one.place))


def data_digest(items: Sequence[ReplayItem]) -> str:
    """Return the identity of the items, whatever their order.

    Raises:
        InvalidValue: There are none, two share an id, or the inputs of one are not JSON.
    """
    if not items:
        raise InvalidValue("items", [], "give at least one")
    twice = [name for name, count in Counter(item.id for item in items).items() if count > 1]
    if twice or not all(item.id for item in items):
        raise InvalidValue("id", twice[0] if twice else "", "give every item an id of its own")
    return digest(canonical("items", sorted(items, key=lambda item: item.id)))


def replayed(golden: GoldenItem) -> ReplayItem:
    """Return a golden item as it is shown to the runner: without the right answer."""
    return ReplayItem(
        id=golden.id, task=golden.task, task_type=golden.task_type, features=golden.features, inputs=golden.inputs
    )


def _mark(item: ReplayItem) -> bytes:
    return canonical(f"item {item.id}", item)


def _turn(place: Place) -> bytes:
    """Return what decides when an item is done: a hash of its id, which knows nothing of how hard it is."""
    return hashlib.sha256(b"burnish replay\x1f" + place.item.id.encode("utf-8", "surrogatepass")).digest()


def _loss(outcome: ReplayOutcome) -> float:
    return 1.0 if outcome.loss is None else outcome.loss
