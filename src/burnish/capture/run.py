"""One run while it happens: what the host tells us, checked, priced and kept until it ends.

Every method checks its arguments. A value that is refused is reported as data (or raised, when strict) and the run goes
on without it. Leaving the `with` block hands the run to the recorder; nothing is written before.
"""

from __future__ import annotations

import contextvars
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self, Unpack

from burnish.capture import checks, facts as known_facts
from burnish.capture.facts import MOST, MOST_TOKENS, RunFacts
from burnish.capture.providers import CallFacts, read_reply
from burnish.capture.records import (
    Bundle,
    CallRecord,
    ConversationRecord,
    DecisionRecord,
    GateRecord,
    RunRecord,
    SignalRecord,
)
from burnish.capture.signals import Site, make_signal
from burnish.errors import InvalidValue

current_run: contextvars.ContextVar[RunCapture | None] = contextvars.ContextVar("burnish_run", default=None)

MOST_PARTS = 10_000
_MAXRSS_UNIT = 1 / 1024 if sys.platform != "darwin" else 1 / 1024**2


class RunCapture:
    """A run in progress. Use as `with` or `async with`; nested runs find their parent by themselves.

    Attributes:
        id: UUIDv7 of the run; give it to `loop.feedback` later.
    """

    def __init__(
        self,
        site: Site,
        /,
        *,
        tenant: str,
        agent: str,
        task_type: str,
        task: str | None = None,
        **facts: Unpack[RunFacts],
    ) -> None:
        self._site = site
        self.id = site.ids()
        self._began = site.clock.monotonic()
        self._mark = self._began
        self._cpu = _cpu_seconds()
        self._now = site.clock.now()
        self._done = False
        self._calls: list[CallRecord] = []
        self._gates: list[GateRecord] = []
        self._signals: list[SignalRecord] = []
        self._outcome: dict[str, object] = {}
        self._attempt = 0
        self._size = 0
        self._token: contextvars.Token[RunCapture | None] | None = None
        self.tenant = self._named("tenant", tenant, "default")
        self.agent = self._named("agent", agent, "default")
        self.task_type = self._named("task_type", task_type, "general")
        parent = facts.pop("parent", None)
        enclosing = current_run.get()
        self._parent = enclosing if enclosing is not None and not enclosing.finished else None
        self._parent_id = self._parent.id if self._parent else None
        self.root_id: str = self._parent.root_id if self._parent else self.id
        if parent is not None:
            with self._guarded("run"):
                self._parent_id = self.root_id = checks.identity("parent", parent)
        self._facts = self._checked_facts({"task": task, **facts})
        site.started()

    @property
    def finished(self) -> bool:
        """Tell whether the run was handed over."""
        return self._done

    @property
    def features(self) -> dict[str, object]:
        """Return the run's categorical and numeric facts."""
        found = self._facts.get("features")
        return found if isinstance(found, dict) else {}

    def call(
        self,
        reply: object = None,
        *,
        model: str | None = None,
        cost_usd: float | None = None,
        latency_s: float | None = None,
        kind: str = "model",
        name: str | None = None,
        error: BaseException | str | None = None,
    ) -> None:
        """Record one model or tool call.

        Args:
            reply: The provider's response object, a dict, or None. Model, tokens, cost and text are read from it.
            model: Overrides the model that the reply names.
            cost_usd: Overrides the reply's own cost and the price table. USD, ≥ 0.
            latency_s: Seconds the call took; when absent, those since the run's last call or decision.
            kind: "model" or "tool".
            name: The tool's name.
            error: What the call failed with.
        """
        with self._guarded("call"):
            now = self._site.clock.monotonic()
            facts = read_reply(reply) if reply is not None else CallFacts()
            latency = latency_s if latency_s is not None else facts.latency_s
            waited, self._mark = now - self._mark, now
            model_name = model or facts.model or self._default_model()
            self._calls.append(
                CallRecord(
                    id=self._site.ids(),
                    created_at=self._site.clock.now(),
                    tenant=self.tenant,
                    run_id=self.id,
                    seq=self._room("call", len(self._calls)),
                    attempt=self._attempt,
                    kind=_one_of("kind", kind, ("model", "tool")),
                    name=None if name is None else checks.name("name", name),
                    model=None if model_name is None else checks.name("model", model_name),
                    provider=facts.provider,
                    prompt_tokens=facts.prompt_tokens,
                    completion_tokens=facts.completion_tokens,
                    cached_tokens=facts.cached_tokens,
                    cost_usd=self._cost(cost_usd, facts, model_name),
                    latency_s=_latency(latency, waited),
                    finish_reason=self._short("finish_reason", facts.finish_reason, 100),
                    tool_names=tuple(checks.text("tool_names", tool, 200) for tool in facts.tool_names[:64]),
                    response_id=self._short("response_id", facts.response_id, 200),
                    **_error(error),
                )
            )
            if facts.output_text is not None and kind == "model":
                self._outcome["output"] = self._text("output", facts.output_text)

    def gate(self, name: str, passed: bool, *, score: float | None = None, reason: str | None = None) -> None:
        """Record a check. `score` in [0, 1] grades it; without one it counts 1 when passed, else 0."""
        with self._guarded("gate"):
            good = checks.flag("passed", passed)
            self._gates.append(
                GateRecord(
                    id=self._site.ids(),
                    created_at=self._site.clock.now(),
                    tenant=self.tenant,
                    run_id=self.id,
                    name=checks.name(f"gate{self._room('gate', len(self._gates))}.name", name),
                    passed=good,
                    score=float(good) if score is None else checks.number("score", score, 0.0, 1.0),
                    reason=None if reason is None else checks.text("reason", reason, 4_000),
                )
            )

    def signal(
        self,
        name: str,
        value: float | bool | None = None,
        *,
        label: str | None = None,
        reason: str | None = None,
        source: str = "host",
    ) -> None:
        """Record an observation: contradictions=2, grounding=.9, security_criticals=0, or one of your own."""
        with self._guarded("signal"):
            self._room("signal", len(self._signals))
            record = make_signal(
                self._site, self.tenant, self.id, name, value, label=label, reason=reason, source=source, late=False
            )
            self._size += len(record.label or "") + len(record.reason or "")
            self._signals.append(record)

    def outcome(
        self,
        success: bool | None = None,
        *,
        quality: float | None = None,
        accepted: bool | None = None,
        rating: int | None = None,
        output: str | None = None,
        summary: str | None = None,
        error: BaseException | str | None = None,
    ) -> None:
        """Record how the run ended. May be called again; later values replace earlier ones.

        Args:
            success: Whether the task was solved.
            quality: Graded result in [0, 1]; outranks `success` in learning.
            accepted: Whether the user took the result.
            rating: The user's 1 to 5.
            output: The final answer (clipped when huge).
            summary: One line on how it was solved, for solution statistics.
            error: What it failed with.
        """
        with self._guarded("outcome"):
            found: dict[str, object] = {}
            if success is not None:
                found["success"] = checks.flag("success", success)
            if quality is not None:
                found["quality"] = checks.number("quality", quality, 0.0, 1.0)
            if accepted is not None:
                found["user_accepted"] = checks.flag("accepted", accepted)
            if rating is not None:
                found["user_rating"] = checks.integer("rating", rating, 1, 5)
            if output is not None:
                found["output"] = self._text("output", output)
            if summary is not None:
                found["solution_summary"] = self._text("summary", summary)
            if error is not None:
                found.update(_error(error))
            self._outcome.update(found)

    def __enter__(self) -> Self:
        """Make this the current run: runs opened inside become its children."""
        self._token = current_run.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hand the run over. An exception is recorded as the run's error and goes on its way."""
        self._leave()
        if error is not None:
            self.outcome(error=error)
            if "success" not in self._outcome and isinstance(error, Exception):
                self._outcome["success"] = False
        self.finish()

    async def __aenter__(self) -> Self:
        """Do as `with` does."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do as `with` does."""
        self.__exit__(kind, error, trace)

    def finish(self) -> None:
        """End the run and hand it over; done by the `with` block. A second call does nothing."""
        if self._done:
            return
        self._done = True
        try:
            bundle = self._bundle()
            self._site.finish(bundle, self._size + 2_000)
        except Exception as error:  # noqa: BLE001 - capture must never break its host
            self._site.refuse("finish", error, self.id)

    # -- what the host never calls ------------------------------------------------------------------------------------

    def _decisions(self) -> list[DecisionRecord]:
        return []

    def _default_model(self) -> str | None:
        return None

    def _confidence(self) -> float | None:
        return None

    def _policy(self) -> str | None:
        return None

    def _bundle(self) -> Bundle:
        record = self._record()
        user = self._facts.get("user")
        conversation = None
        if record.conversation is not None:
            conversation = ConversationRecord(
                id=self._site.ids(),
                created_at=self._now,
                tenant=self.tenant,
                key=record.conversation,
                user_id=None if user is None else str(user),
            )
        return Bundle(
            run=record,
            conversation=conversation,
            calls=self._calls,
            decisions=self._decisions(),
            gates=self._gates,
            signals=self._signals,
        )

    def _record(self) -> RunRecord:
        facts = {key: value for key, value in self._facts.items() if key != "user"}
        costs = [call.cost_usd for call in self._calls if call.cost_usd is not None]
        values: dict[str, object] = {
            "duration_s": max(0.0, self._site.clock.monotonic() - self._began),
            "started_at": self._now,
            "cost_usd": sum(costs) if costs else None,
            "prompt_tokens": _total(call.prompt_tokens for call in self._calls),
            "completion_tokens": _total(call.completion_tokens for call in self._calls),
            "model": self._final_model(),
            "cpu_time_s": max(0.0, _cpu_seconds() - self._cpu),
            "routing_confidence": self._confidence(),
            "policy_id": self._policy(),
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT,
            **facts,
            **self._outcome,
        }
        return RunRecord(
            id=self.id,
            created_at=self._site.clock.now(),
            tenant=self.tenant,
            agent=self.agent,
            task_type=self.task_type,
            parent_id=self._parent_id,
            root_id=self.root_id,
            process_id=self._site.process_id(),
            **values,  # type: ignore[arg-type]  # every value was checked under the name of its field
        )

    def _final_model(self) -> str | None:
        decided = self._default_model()
        if decided is not None:
            return decided
        return next((call.model for call in reversed(self._calls) if call.kind == "model" and call.model), None)

    def _leave(self) -> None:
        if self._token is not None:
            try:
                current_run.reset(self._token)
            except ValueError:  # left in another context than entered, as some async frameworks do
                current_run.set(self._parent)
            self._token = None

    def _checked_facts(self, facts: Mapping[str, object]) -> dict[str, object]:
        kept: dict[str, object] = {}
        for field, value in facts.items():
            if value is None:
                continue
            with self._guarded("run"):
                kept[field] = known_facts.checked(field, value, now=self._now, clip_chars=self._site.clip_chars)
                self._size += known_facts.weight(kept[field])
        return kept

    def _cost(self, stated: float | None, facts: CallFacts, model: str | None) -> float | None:
        if stated is not None:
            return checks.number("cost_usd", stated, 0.0, MOST)
        if facts.cost_usd is not None:
            return facts.cost_usd
        return self._site.prices.cost(facts, model)

    def _named(self, field: str, value: object, fallback: str) -> str:
        try:
            return checks.name(field, value)
        except InvalidValue as error:
            self._site.refuse("run", error, self.id)
            return fallback

    def _text(self, field: str, value: object) -> str:
        found = checks.text(field, value, self._site.clip_chars)
        self._size += len(found)
        return found

    def _short(self, field: str, value: str | None, limit: int) -> str | None:
        return None if value is None else checks.text(field, value, limit)

    def _room(self, what: str, count: int) -> int:
        if self._done:
            raise InvalidValue(what, self.id, "the run is already handed over; use loop.feedback or loop.signal for it")
        if count >= MOST_PARTS:
            raise InvalidValue(what, count, f"a run keeps at most {MOST_PARTS} of each kind of part")
        self._size += 300
        return count

    @contextmanager
    def _guarded(self, what: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - capture must never break its host; strict mode raises in refuse
            self._site.refuse(what, error, self.id)


def _one_of(field: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise InvalidValue(field, value, f"give one of {', '.join(allowed)}")
    return value


def _error(error: BaseException | str | None) -> dict[str, str | None]:
    if error is None:
        return {}
    kind = type(error).__name__ if isinstance(error, BaseException) else "error"
    return {"error_type": kind[:200], "error": checks.text("error", str(error), 4_000)}


def _latency(stated: float | None, waited: float) -> float | None:
    """Return the stated latency, else the time waited; where the clock stood still, none is known."""
    if stated is not None:
        return checks.number("latency_s", stated, 0.0, MOST)
    return waited if waited > 0 else None


def _total(values: Iterator[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return min(sum(known), MOST_TOKENS) if known else None


def _cpu_seconds() -> float:
    return time.process_time()
