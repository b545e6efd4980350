"""Whatever a host hands over: strict, one clear error; otherwise one report, and the run goes on without the field."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import pytest

import burnish

OpenLoop = Callable[..., burnish.Loop]
NOW = datetime.now(UTC)
SURROGATE = "broken \ud800 text"


class Nowhere(tzinfo):
    """A zone that knows nothing of itself."""

    def utcoffset(self, _: datetime | None) -> None:
        """Return nothing."""

    def dst(self, _: datetime | None) -> None:
        """Return nothing."""

    def tzname(self, _: datetime | None) -> None:
        """Return nothing."""


def call(**facts: Any) -> Callable[[burnish.Run], None]:
    return lambda run: run.call(**facts)


def outcome(**facts: Any) -> Callable[[burnish.Run], None]:
    return lambda run: run.outcome(**facts)


REFUSED: list[tuple[str, dict[str, Any], Callable[[burnish.Run], None] | None, str]] = [
    # field, arguments of loop.run, what the host does in the run, the remedy
    ("cost_usd", {}, call(cost_usd=math.nan), "finite number"),
    ("cost_usd", {}, call(cost_usd=math.inf), "finite number"),
    ("cost_usd", {}, call(cost_usd=-0.01), "between 0 and"),
    ("cost_usd", {}, call(cost_usd="much"), "give a number"),
    ("cost_usd", {}, call(reply={"model": "m", "cost_usd": -1.0}), "finite number from 0"),
    ("prompt_tokens", {}, call(reply={"model": "m", "usage": {"prompt_tokens": -5}}), "finite number from 0"),
    ("latency_s", {}, call(latency_s=-1), "between 0 and"),
    ("kind", {}, call(kind="dream"), "one of model, tool"),
    ("model", {}, call(model="   "), "1 to 200 characters"),
    ("model", {}, call(model=7), "give text"),
    ("success", {}, outcome(success="no"), "True or False"),
    ("quality", {}, outcome(quality=1.01), "between 0 and 1"),
    ("quality", {}, outcome(quality=math.nan), "finite number"),
    ("rating", {}, outcome(rating=6), "between 1 and 5"),
    ("rating", {}, outcome(rating=4.5), "whole number"),
    ("accepted", {}, outcome(accepted=1), "True or False"),
    ("output", {}, outcome(output=123), "give text"),
    ("passed", {}, lambda run: run.gate("g", passed=None), "True or False"),  # type: ignore[arg-type]  # garbage
    ("score", {}, lambda run: run.gate("g", passed=True, score=2.0), "between 0 and 1"),
    ("gate1.name", {}, lambda run: run.gate("", passed=True), "1 to 200 characters"),
    ("grounding", {}, lambda run: run.signal("grounding", math.inf), "finite number"),
    ("grounding", {}, lambda run: run.signal("grounding", "very"), "give a number"),  # type: ignore[arg-type]  # garbage
    ("started_at", {"started_at": NOW + timedelta(days=1)}, None, "lies in the future"),
    ("started_at", {"started_at": datetime(2026, 1, 1)}, None, "with a time zone"),  # noqa: DTZ001 - the point
    ("started_at", {"started_at": datetime(2026, 1, 1, tzinfo=Nowhere())}, None, "with a time zone"),
    ("started_at", {"started_at": "yesterday"}, None, "with a time zone"),
    ("agent", {"agent": ""}, None, "1 to 200 characters"),
    ("task_type", {"task_type": None}, None, "give text"),
    ("tenant", {"tenant": 12}, None, "give text"),
    ("budget_usd", {"budget_usd": -1}, None, "between 0 and"),
    ("estimated_tokens", {"estimated_tokens": 1.5}, None, "whole number"),
    ("complexity", {"complexity": 2**40}, None, "between 0 and"),
    ("features", {"features": ["a"]}, None, "dict of names"),
    ("features", {"features": {str(k): k for k in range(65)}}, None, "at most 64"),
    ("features['x']", {"features": {"x": math.nan}}, None, "finite number"),
    ("parent", {"parent": "not an id, but a sentence of more than 36 letters"}, None, "id of a run"),
    ("modle", {"modle": "typo"}, None, "no such argument"),
    ("site", {"site": "not mine"}, None, "no such argument"),
]
NAMES = [f"{field}-{remedy}" for field, _, _, remedy in REFUSED]


def play(loop: burnish.Loop, facts: dict[str, Any], act: Callable[[burnish.Run], None] | None) -> str:
    """Capture a run with one thing wrong among what is right."""
    with loop.run(**{"agent": "a", "task_type": "t", "project": "kept", **facts}) as run:
        run.gate("good", passed=True)
        if act is not None:
            act(run)
        run.outcome(summary="kept")
    return run.id


@pytest.mark.parametrize(("field", "facts", "act", "remedy"), REFUSED, ids=NAMES)
def test_strict_bad_input_raises_one_error_with_field_and_remedy(
    open_loop: OpenLoop,
    field: str,
    facts: dict[str, Any],
    act: Callable[[burnish.Run], None] | None,
    remedy: str,
) -> None:
    loop = open_loop()
    with pytest.raises(burnish.InvalidValue) as caught:
        play(loop, facts, act)
    assert str(caught.value).startswith(f"{field}=")
    assert remedy in str(caught.value)


@pytest.mark.parametrize(("field", "facts", "act", "remedy"), REFUSED, ids=NAMES)
def test_bad_input_is_reported_once_and_the_run_kept_without_it(
    open_loop: OpenLoop,
    caplog: pytest.LogCaptureFixture,
    field: str,
    facts: dict[str, Any],
    act: Callable[[burnish.Run], None] | None,
    remedy: str,
) -> None:
    loop = open_loop(strict=False)
    problems: list[burnish.CaptureProblem] = []
    loop.on(burnish.CaptureProblem, problems.append)
    identity = play(loop, facts, act)
    loop.flush()
    assert [problem.message.startswith(f"{field}=") for problem in problems] == [True]
    assert remedy in problems[0].message
    assert problems[0].run_id == identity
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == [
        f"{problems[0].what}: {problems[0].message}"
    ]
    tenant = "default"
    (run,) = loop.runs()
    assert (run.id, run.tenant, run.project, run.solution_summary) == (identity, tenant, "kept", "kept")
    found = loop.explain(identity)
    assert [(gate.name, gate.passed) for gate in found.gates] == [("good", True)]
    assert (found.calls, found.signals, run.cost_usd, run.quality) == ([], [], None, None)


def test_the_same_fault_a_thousand_times_is_one_log_line(open_loop: OpenLoop, caplog: pytest.LogCaptureFixture) -> None:
    loop = open_loop(strict=False)
    for _ in range(1_000):
        with loop.run() as run:
            run.call(cost_usd=math.nan)
    assert len([record for record in caplog.records if "cost_usd" in record.message]) == 1


def test_ten_megabytes_of_output_are_cut_to_head_and_tail_with_a_note(open_loop: OpenLoop, store_url: str) -> None:
    loop = open_loop(store_url)
    with loop.run(task="a" * 10_000_000) as run:
        run.outcome(output="head " + "x" * 10_000_000 + " tail", error="e" * 10_000_000)
    loop.flush()
    found = loop.explain(run.id).run
    assert found.output is not None
    assert len(found.output) <= loop.settings.clip_chars
    assert found.output.startswith("head ")
    assert found.output.endswith(" tail")
    assert "of 10,000,010 characters cut" in found.output
    assert len(found.error or "") <= 4_000


def test_text_no_database_stores_is_mended(open_loop: OpenLoop, store_url: str) -> None:
    loop = open_loop(store_url)
    with loop.run(task=SURROGATE, agent="nul\0agent", features={"k\0": SURROGATE}) as run:
        run.outcome(output=b"\xff\xfe invalid \x80 utf-8", error=ValueError(SURROGATE))  # type: ignore[arg-type]  # bytes
    assert loop.flush().stored == 1
    found = loop.explain(run.id).run
    assert found.task == "broken ? text"
    assert found.agent == "nul\ufffdagent"
    assert found.output == "\ufffd\ufffd invalid \ufffd utf-8"
    assert found.error == "broken ? text"
    assert found.features == {"k\ufffd": "broken ? text"}


def test_an_unknown_model_is_kept_without_a_price(open_loop: OpenLoop) -> None:
    loop = open_loop()
    with loop.run() as run:
        run.call({"model": "nobody-knows-it-1", "usage": {"prompt_tokens": 10, "completion_tokens": 2}})
    loop.flush()
    (made,) = loop.explain(run.id).calls
    assert (made.model, made.prompt_tokens, made.cost_usd) == ("nobody-knows-it-1", 10, None)


def test_costs_at_the_bound_of_what_is_taken_still_add_up(open_loop: OpenLoop, store_url: str) -> None:
    loop = open_loop(store_url)
    for _ in range(3):
        with loop.run(agent="rich", task_type="t") as run:
            for _ in range(100):
                run.call(model="m", cost_usd=1e12, latency_s=1e12)
            run.outcome(success=True)
    assert loop.flush().stored == 3
    (report,) = loop.models(agent="rich")
    assert report.cost_usd is not None
    assert math.isfinite(report.cost_usd)


@pytest.mark.parametrize(
    "say",
    [
        lambda loop, run: loop.feedback(run, rating=9),
        lambda loop, run: loop.feedback(run, quality=math.nan),
        lambda loop, run: loop.feedback(run, accepted="maybe"),
        lambda loop, run: loop.feedback(run, tenant=object(), rating=5),
        lambda loop, run: loop.signal(run, "grounding", "high"),
        lambda loop, run: loop.signal(run, "", 1.0),
        lambda loop, _: loop.signal("x" * 100, "grounding", 1.0),
        lambda loop, _: loop.signal(object(), "grounding", object()),
        lambda loop, _: loop.publish(burnish.PoolCreated(pool="", facts={})),
        lambda loop, _: loop.publish(burnish.TaskCompleted(task_type="t", facts={"agent": 1, "self": 2})),
    ],
)
def test_bad_feedback_and_events_never_raise_into_the_host(
    open_loop: OpenLoop, say: Callable[[burnish.Loop, str], None]
) -> None:
    loop = open_loop(strict=False)
    with loop.run() as run:
        run.outcome(quality=0.5)
    problems: list[burnish.CaptureProblem] = []
    loop.on(burnish.CaptureProblem, problems.append)
    say(loop, run.id)
    assert loop.flush().durable
    assert len(problems) == 1
    assert loop.explain(run.id).run.quality == 0.5
    assert loop.explain(run.id).signals == []
