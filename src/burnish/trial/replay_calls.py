"""Make the calls of a replay: in one fixed order, several at once, within a cost cap, and never hung up by one of them.

Which calls count is decided by the fixed order alone, as if they had been made one after the other. So the number of
workers changes how long it takes, and not what is found.
"""

from __future__ import annotations

import math
import numbers
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait

import msgspec

from burnish.capture.checks import text
from burnish.errors import InvalidValue
from burnish.propose.policy import Policy
from burnish.trial.replay_record import ReplayItem, ReplayOutcome, Runner, Stop

PICO = 10**12
"""Money is added up in whole pico-dollars: the order of addition must not matter."""

MOST_HANGING = 64
"""Calls that may be left behind, out of time but still running; one more and the replay stops."""

POLL_S = 0.1
"""How soon a cancellation is noticed while calls are under way."""

ERROR_CHARS = 300
Progress = Callable[[int, int, float], None]


class Call(msgspec.Struct, frozen=True):
    """One call of the runner."""

    policy: Policy | None
    item: ReplayItem
    seed: int


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How calls are made. Without a timeout one worker means the caller's own thread."""

    workers: int = 1
    cost_cap_usd: float | None = None
    timeout_s: float | None = None


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """The calls that count, which are the first of those planned, and why there are no more."""

    outcomes: Sequence[ReplayOutcome]
    stopped: Stop | None
    cost_usd: float
    surplus_usd: float


class Spending:
    """What is known of the cost of some calls; a cost that is not known is taken to be the mean of the others."""

    def __init__(self) -> None:
        self._total, self._priced, self._unpriced = 0, 0, 0

    def add(self, outcome: ReplayOutcome) -> None:
        """Count a call. One that failed and says it cost nothing may have cost something."""
        cost = round(outcome.cost_usd * PICO)
        self._total += cost
        if outcome.error is not None and not cost:
            self._unpriced += 1
        else:
            self._priced += 1

    @property
    def known_usd(self) -> float:
        """Return what is known to be spent."""
        return self._total / PICO

    def after(self, more: int) -> float:
        """Return what will have been spent, about, once `more` calls have ended as well."""
        mean = self._total / self._priced if self._priced else 0.0
        return (self._total + (self._unpriced + more) * mean) / PICO


def perform(
    calls: Sequence[Call],
    runner: Runner,
    limits: Limits,
    *,
    cancel: threading.Event | None = None,
    progress: Progress | None = None,
) -> Made:
    """Make the calls, in order, and return those that count.

    A call is not started when it would, at the mean cost so far, exceed the cap. Those under way are waited for.
    """
    made = _Making(calls, runner, limits, cancel, progress)
    stopped = made.one_by_one() if limits.workers == 1 and limits.timeout_s is None else made.at_once()
    return _counted(made.outcomes, stopped, limits)


def _counted(outcomes: Sequence[ReplayOutcome | None], stopped: Stop | None, limits: Limits) -> Made:
    """Keep the calls that would have been made one after the other."""
    spending, counted, all_of_it = Spending(), [], Spending()
    for outcome in outcomes:
        if outcome is not None:
            all_of_it.add(outcome)
    for outcome in outcomes:
        if outcome is None:
            break
        if _over(spending, 1, limits):
            stopped = "cost cap"
            break
        spending.add(outcome)
        counted.append(outcome)
    surplus = max(0.0, all_of_it.known_usd - spending.known_usd)
    return Made(outcomes=counted, stopped=stopped, cost_usd=spending.known_usd, surplus_usd=surplus)


def _over(spending: Spending, more: int, limits: Limits) -> bool:
    return limits.cost_cap_usd is not None and spending.after(more) > limits.cost_cap_usd


class _Making:
    """The calls of one replay while they are made."""

    def __init__(
        self,
        calls: Sequence[Call],
        runner: Runner,
        limits: Limits,
        cancel: threading.Event | None,
        progress: Progress | None,
    ) -> None:
        self.outcomes: list[ReplayOutcome | None] = [None] * len(calls)
        self._calls, self._runner, self._limits = calls, runner, limits
        self._cancel, self._progress = cancel or threading.Event(), progress
        self._spending = Spending()
        self._done = 0
        self._hanging = 0

    def one_by_one(self) -> Stop | None:
        """Make the calls in this thread; return why not all were made."""
        for position, call in enumerate(self._calls):
            stop = self._stop(1)
            if stop is not None:
                return stop
            self._ended(position, outcome_of(self._runner, call))
        return None

    def at_once(self) -> Stop | None:
        """Make several calls at a time, each in a thread of its own; return why not all were made."""
        running: dict[Future[ReplayOutcome], tuple[int, float]] = {}
        following = 0
        while True:
            stop: Stop | None = None
            while following < len(self._calls) and len(running) < self._limits.workers and stop is None:
                stop = self._stop(len(running) + 1)
                if stop is None:
                    running[_started(self._runner, self._calls[following])] = (following, time.monotonic())
                    following += 1
            if not running:
                return stop
            self._gather(
                running
            )  # what ends may cost less than was feared: only with nothing under way is a stop final

    def _stop(self, more: int) -> Stop | None:
        if self._cancel.is_set():
            return "cancelled"
        if self._hanging > MOST_HANGING:
            return "hanging"
        return "cost cap" if _over(self._spending, more, self._limits) else None

    def _gather(self, running: dict[Future[ReplayOutcome], tuple[int, float]]) -> None:
        """Wait until a call ends or runs out of time, and take in all that did."""
        timeout = self._limits.timeout_s
        oldest = min(began for _, began in running.values())
        left = math.inf if timeout is None else max(0.0, oldest + timeout - time.monotonic())
        ended, _ = wait(running, timeout=min(POLL_S, left), return_when=FIRST_COMPLETED)
        for future in sorted(ended, key=lambda one: running[one][0]):
            self._ended(running.pop(future)[0], future.result())
        if timeout is None:
            return
        now = time.monotonic()
        for future in [one for one, (_, began) in running.items() if now - began >= timeout]:
            self._hanging += 1
            late = ReplayOutcome(loss=1.0, error=f"no answer within {timeout:g} s", duration_s=timeout)
            self._ended(running.pop(future)[0], late)

    def _ended(self, position: int, outcome: ReplayOutcome) -> None:
        self.outcomes[position] = outcome
        self._spending.add(outcome)
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, len(self._calls), self._spending.known_usd)


def _started(runner: Runner, call: Call) -> Future[ReplayOutcome]:
    """Start a call in a daemon thread: one that never returns must not keep the process alive."""
    future: Future[ReplayOutcome] = Future()

    def fulfil() -> None:
        try:
            future.set_result(outcome_of(runner, call))
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            future.set_exception(error)

    threading.Thread(target=fulfil, name="burnish-replay", daemon=True).start()
    return future


def outcome_of(runner: Runner, call: Call) -> ReplayOutcome:
    """Return what a call gave; whatever the runner raises or returns amiss is a failure with loss 1."""
    try:
        found: object = runner(call.policy, call.item, call.seed)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's failing runner is data
        return _failure(_described(error))
    if not isinstance(found, ReplayOutcome):
        return _failure(f"the runner returned {type(found).__name__}, not ReplayOutcome")
    try:
        return _checked(found)
    except InvalidValue as error:
        return _failure(str(error), found.cost_usd)


def _checked(found: ReplayOutcome) -> ReplayOutcome:
    cost, duration = _number("cost_usd", found.cost_usd), _number("duration_s", found.duration_s)
    error = None if found.error is None else text("error", found.error, ERROR_CHARS)
    if found.loss is None:
        return ReplayOutcome(loss=1.0, cost_usd=cost, duration_s=duration, error=error or "it was not scored")
    quality = None if found.quality is None else _number("quality", found.quality, 1.0)
    loss = _number("loss", found.loss, 1.0)
    return ReplayOutcome(loss=loss, quality=quality, cost_usd=cost, duration_s=duration, error=error)


def _number(field: str, value: object, high: float = 1e9) -> float:
    if isinstance(value, numbers.Real) and 0.0 <= float(value) <= high:
        return float(value)
    raise InvalidValue(field, value, f"the runner must give a number from 0 to {high:g}")


def _failure(error: str, cost_usd: object = 0.0) -> ReplayOutcome:
    """Return a failure; what it is known to have cost still counts."""
    try:
        cost = _number("cost_usd", cost_usd)
    except InvalidValue:
        cost = 0.0
    return ReplayOutcome(loss=1.0, cost_usd=cost, error=text("error", error, ERROR_CHARS))


def _described(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - an error whose own text fails still has a type
        return type(error).__name__
