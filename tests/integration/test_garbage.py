"""No combination of garbage makes a host fail, and whatever is stored reads back: searched for by hypothesis."""

from __future__ import annotations

import logging
import math
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import burnish
from burnish import answers
from burnish.capture.facts import RunFacts
from burnish.capture.records import RunRecord

SURROGATE = "broken \ud800 text"
EARLY = datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))  # before the year 1 in UTC


class Hostile:
    """Raises whatever it is asked."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(f"hostile {name}")

    def __repr__(self) -> str:
        raise RuntimeError("hostile repr")

    def __str__(self) -> str:
        raise RuntimeError("hostile str")

    def __float__(self) -> float:
        raise RuntimeError("hostile float")

    def __bool__(self) -> bool:
        raise RuntimeError("hostile bool")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("hostile eq")

    __hash__ = None  # type: ignore[assignment]  # cannot be hashed either


garbage = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**31, 2**53, 2**63, -(2**63), 10**400, uuid.uuid4(), Hostile(), Hostile, object()]),
    st.floats(),
    st.text(st.characters(codec=None), max_size=50),
    st.sampled_from(["", " ", "\0", SURROGATE, "x" * 3_000, "👍" * 300, "'; DROP TABLE runs; --"]),
    st.binary(max_size=20),
    st.datetimes(),
    st.datetimes(timezones=st.just(UTC)),
    st.sampled_from([EARLY, datetime.max.replace(tzinfo=UTC)]),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.one_of(st.floats(), st.text(max_size=9), st.lists(st.none())), max_size=3),
    st.sampled_from([ValueError("v"), KeyboardInterrupt(), Hostile]),
)
anything = st.one_of(garbage, st.just("m"), st.just(0.5), st.just(1))
FACTS = [*RunFacts.__annotations__, "agent", "task", "task_type", "tenant", "unheard_of"]
FIELDS = {
    "call": ["reply", "model", "cost_usd", "latency_s", "kind", "name", "error"],
    "gate": ["name", "passed", "score", "reason"],
    "signal": ["name", "value", "label", "reason", "source"],
    "outcome": ["success", "quality", "accepted", "rating", "output", "summary", "error"],
}
LATER = ["rating", "accepted", "success", "quality", "correction", "comment", "source"]
facts_of_run = st.dictionaries(st.sampled_from(FACTS), anything, max_size=6)
steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("call"),
            st.dictionaries(st.sampled_from(FIELDS["call"]), anything),
        ),
        st.tuples(st.just("gate"), st.fixed_dictionaries({"name": anything, "passed": anything, "score": anything})),
        st.tuples(
            st.just("signal"),
            st.fixed_dictionaries({"name": anything, "value": anything, "label": anything, "source": anything}),
        ),
        st.tuples(
            st.just("outcome"),
            st.dictionaries(st.sampled_from(FIELDS["outcome"]), anything),
        ),
    ),
    max_size=6,
)
said_later = st.dictionaries(st.sampled_from(LATER), anything)


@pytest.fixture(scope="module")
def lasting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[burnish.Loop]:
    """One loop for all examples, on the database that the test asks for."""
    url = str(tmp_path_factory.mktemp("loop"))
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_server")
    logging.getLogger("burnish").disabled = True
    loop = burnish.open(url, home=str(tmp_path_factory.mktemp("home")), tenant=uuid.uuid4().hex, clip_chars=1_000)
    yield loop
    loop.close()
    logging.getLogger("burnish").disabled = False


@pytest.mark.parametrize("lasting", ["sqlite", "postgresql"], indirect=True)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(facts=facts_of_run, done=steps, later=said_later)
def test_no_garbage_makes_a_host_fail_and_what_is_stored_reads_back(
    lasting: burnish.Loop, facts: dict[str, Any], done: list[tuple[str, dict[str, Any]]], later: dict[str, Any]
) -> None:
    with lasting.run(**facts) as run:
        for method, arguments in done:
            getattr(run, method)(**arguments)
    lasting.feedback(run.id, **later)
    flushed = lasting.flush()
    assert (flushed.complete, flushed.dropped, flushed.spooled) == (True, 0, 0)
    found = answers.explain(lasting.store, run.id, tenant=run.tenant)
    assert isinstance(found.run, RunRecord)
    assert found.losses
    for number in (found.run.cost_usd, found.run.duration_s, found.run.quality, found.run.loss):
        assert number is None or math.isfinite(number)


@pytest.mark.parametrize("lasting", ["sqlite"], indirect=True)
def test_an_object_that_raises_at_every_touch_harms_nobody_in_any_field(lasting: burnish.Loop) -> None:
    hostile: Any = Hostile()
    for field in FACTS:
        with lasting.run(**{field: hostile}) as run:
            run.outcome(success=True)
    needed: dict[str, dict[str, Any]] = {"gate": {"name": "g", "passed": True}, "signal": {"name": "s"}}
    with lasting.run() as run:
        for method, fields in FIELDS.items():
            for field in fields:
                getattr(run, method)(**{**needed.get(method, {}), field: hostile})
    for field in (*LATER, "tenant"):
        lasting.feedback(run.id, **{field: hostile})
    lasting.publish(burnish.PoolCreated(pool=hostile, facts={"x": hostile}))
    lasting.publish(burnish.TaskCompleted(task_type=hostile, model=hostile, facts={"tier": hostile}))
    done = lasting.flush()
    assert (done.complete, done.dropped) == (True, 0)
    assert answers.explain(lasting.store, run.id, tenant=run.tenant).run.id == run.id
