"""Tell how unlike earlier runs a run is, on a scale that means the same everywhere.

Novelty is one minus a conformal p-value: among runs like those before, it exceeds .95 at most 5 % of the time, whatever
the features are. Each run is scored against the runs before it, then joins them, so every run serves both as
reference and as calibration. Source: Laxhammar and Falkman (2010) for conformal anomaly detection; Sun et al. (ICML
2022) for the neighbour distance.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import Counter, defaultdict, deque
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

Feature: TypeAlias = object
"""A number (not bool) is compared by distance, anything else by how often it occurs."""

CALIBRATION_NEEDED = 19
"""Scores below which novelty is unknown: with fewer, no p-value reaches .05."""

SMOOTHING = 0.5
NEIGHBOURS = 3


class NoveltyReference:
    """The recent runs of one scope. Not safe for concurrent `add`; `novelty` only reads.

    Args:
        reference: Runs that a new one is compared with.
        calibration: Latest scores that a new score is ranked among.
    """

    def __init__(self, reference: int = 1000, calibration: int = 200) -> None:
        self._categories = _CategoricalSurprise(reference)
        self._numbers = _NeighbourDistance(reference)
        self._calibration = calibration
        self._scores: deque[tuple[float, float]] = deque()
        self._surprises: list[float] = []
        self._distances: list[float] = []
        self._strangeness: list[float] | None = None

    def novelty(self, features: Mapping[str, Feature]) -> float | None:
        """Return the novelty in [0, 1), or None while fewer than 19 runs are scored. Ties count as not novel."""
        if len(self._scores) < CALIBRATION_NEEDED:
            return None
        categories, numbers = _split(features)
        score = self._categories.score(categories), self._numbers.score(numbers)
        if self._numbers.empty:
            return _conformal(self._surprises, score[0])
        if self._strangeness is None:
            self._strangeness = sorted(self._rank(each) for each in self._scores)
        return _conformal(self._strangeness, self._rank(score))

    def add(self, features: Mapping[str, Feature]) -> None:
        """Score a run against those before it, then let it join them. Numbers are those neither bool nor str."""
        categories, numbers = _split(features)
        if self._categories.rows:
            self._calibrate((self._categories.score(categories), self._numbers.score(numbers)))
        self._categories.add(categories)
        self._numbers.add(numbers)

    def _calibrate(self, score: tuple[float, float]) -> None:
        if len(self._scores) == self._calibration:
            surprise, distance = self._scores.popleft()
            del self._surprises[bisect_left(self._surprises, surprise)]
            del self._distances[bisect_left(self._distances, distance)]
        self._scores.append(score)
        insort(self._surprises, score[0])
        insort(self._distances, score[1])
        self._strangeness = None

    def _rank(self, score: tuple[float, float]) -> float:
        """Return the larger of the two ranks, which are comparable where surprise and distance are not.

        The score itself breaks ties above everything seen, so that the strangest run still ranks above the rest.
        """
        surprise, distance = score
        return max(
            bisect_left(self._surprises, surprise) + math.tanh(surprise) / 2.0,
            bisect_left(self._distances, distance) + math.tanh(distance) / 2.0,
        )


def _conformal(calibration: list[float], score: float) -> float:
    """Return 1 − p with p = (1 + number of calibration scores ≥ score) / (1 + number of calibration scores)."""
    at_least = len(calibration) - bisect_left(calibration, score)
    return 1.0 - (1 + at_least) / (1 + len(calibration))


def _split(features: Mapping[str, Feature]) -> tuple[dict[str, object], dict[str, float]]:
    categories: dict[str, object] = {}
    numbers: dict[str, float] = {}
    for name, value in features.items():
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if math.isfinite(value):
                numbers[name] = float(value)
        else:
            categories[name] = value if isinstance(value, (str, bool)) else repr(value)
    return categories, numbers


class _CategoricalSurprise:
    """−log of the share of runs whose value is as rare or rarer, for the row's rarest feature; absence is a value too.

    A new value counts as rare as those seen once (Good-Turing): a new repository says little where every tenth run
    has one, a new task type says much where there never was one.
    """

    def __init__(self, window: int) -> None:
        self.rows: deque[dict[str, object]] = deque()
        self._window = window
        self._counts: defaultdict[str, Counter[object]] = defaultdict(Counter)
        self._kinds: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self._present: Counter[str] = Counter()

    def score(self, row: Mapping[str, object]) -> float:
        """Return the surprise, at least 0."""
        rarest = min((self._rarity(name, row) for name in self._present.keys() | row.keys()), default=1.0)
        return -math.log(rarest)

    def _rarity(self, name: str, row: Mapping[str, object]) -> float:
        absent = len(self.rows) - self._present[name]
        seen = self._counts[name][row[name]] if name in row and name in self._counts else 0
        if name not in row:
            seen = absent
        rare = max(seen, 1)
        tail = sum(count * kinds for count, kinds in self._kinds.get(name, {}).items() if count <= rare)
        if 0 < absent <= rare:
            tail += absent
        return (tail + SMOOTHING) / (len(self.rows) + SMOOTHING)

    def add(self, row: dict[str, object]) -> None:
        """Let a row join the window, and the oldest leave a full one."""
        if len(self.rows) == self._window:
            for name, value in self.rows.popleft().items():
                self._move(name, value, -1)
        self.rows.append(row)
        for name, value in row.items():
            self._move(name, value, 1)

    def _move(self, name: str, value: object, by: int) -> None:
        before = self._counts[name][value]
        self._recount(self._kinds[name], before, -1)
        self._recount(self._kinds[name], before + by, 1)
        self._counts[name][value] = before + by
        self._present[name] += by
        if not before + by:
            del self._counts[name][value]
        if not self._present[name]:
            del self._present[name], self._counts[name], self._kinds[name]

    @staticmethod
    def _recount(kinds: Counter[int], count: int, by: int) -> None:
        if count:
            kinds[count] += by
            if not kinds[count]:
                del kinds[count]


class _NeighbourDistance:
    """Mean distance to the nearest rows of the window, each number in units of its sd; an absent one is the mean."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._names: list[str] = []
        self._rows: NDArray[np.float64] = np.empty((0, 0))
        self._added = 0

    @property
    def empty(self) -> bool:
        """Whether no number was ever seen."""
        return not self._names

    def score(self, row: Mapping[str, float]) -> float:
        known = self._rows[: min(self._added, self._window)]
        if self.empty or not len(known):
            return 0.0
        here = np.array([row.get(name, np.nan) for name in self._names])
        seen = ~np.isnan(known)
        amount = np.maximum(seen.sum(axis=0), 1)
        mean = np.where(seen, known, 0.0).sum(axis=0) / amount
        spread = np.sqrt(np.where(seen, (known - mean) ** 2, 0.0).sum(axis=0) / amount)
        scale = np.where(spread > 0.0, spread, np.maximum(np.abs(mean), 1.0))
        away = (np.where(seen, known, mean) - np.where(np.isnan(here), mean, here)) / scale
        distance = np.sqrt((away**2).sum(axis=1))
        nearest = min(NEIGHBOURS, len(distance))
        return float(np.partition(distance, nearest - 1)[:nearest].mean())

    def add(self, row: Mapping[str, float]) -> None:
        new = [name for name in row if name not in self._names]
        if new:
            self._names += new
            wider = np.full((self._window, len(self._names)), np.nan)
            wider[: len(self._rows), : self._rows.shape[1]] = self._rows
            self._rows = wider
        if self._names:
            self._rows[self._added % self._window] = [row.get(name, np.nan) for name in self._names]
            self._added += 1
