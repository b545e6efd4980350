"""Which texts a record has, and how long each may be: a plan per kind of record, made once.

Identifiers that Burnish makes are not text. Everything else is, unless it is a number, a flag or a time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from operator import attrgetter

import msgspec
from sqlalchemy import Table

from burnish.capture.records import (
    AssignmentRecord,
    Bundle,
    CallRecord,
    ConversationRecord,
    DecisionRecord,
    GateRecord,
    PoolEventRecord,
    RunRecord,
    SignalRecord,
)
from burnish.store.schema import capture as tables
from burnish.store.schema.score import gates
from burnish.store.schema.trial import deployment_assignments

PARTS = ("calls", "decisions", "gates", "signals", "pool_events", "assignments")
_OURS = frozenset({"id", "created_at", "tenant", "process_id", "probabilities"})
_REFERENCES = frozenset({"run_id", "parent_id", "root_id", "deployment"})
_LABELS = frozenset(
    re.findall(
        r"\w+",
        "project agent phase task_type model policy_id tier pool error_type kind name provider finish_reason rule "
        "failure_kind source fallbacks tool_names candidates",
    )
)
"""Closed vocabularies: each value comes again and again, and learning is keyed by some of them."""
_TABLES: Mapping[type[msgspec.Struct], Table] = {
    RunRecord: tables.runs,
    CallRecord: tables.calls,
    DecisionRecord: tables.decisions,
    GateRecord: gates,
    SignalRecord: tables.outcome_signals,
    ConversationRecord: tables.conversations,
    PoolEventRecord: tables.pool_events,
    AssignmentRecord: deployment_assignments,
}
_NESTED = ("dict", "list", "tuple")
_OUR_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Field(msgspec.Struct, frozen=True):
    """A field that may hold text."""

    name: str
    label: bool
    reference: bool
    limit: int | None
    """Longest text that its column stores; None where there is no limit."""


@lru_cache(maxsize=64)
def fields(kind: type[msgspec.Struct]) -> tuple[Field, ...]:
    """Return the fields of a kind of record that may hold text."""
    found = []
    for name, annotation in kind.__annotations__.items():
        if name in _OURS or not any(word in str(annotation) for word in ("str", *_NESTED)):
            continue
        length = getattr(_TABLES[kind].c[name].type, "length", None)
        found.append(Field(name, name in _LABELS or name in _REFERENCES, name in _REFERENCES, length))
    return tuple(found)


class Plan(msgspec.Struct, frozen=True):
    """How the texts of a kind of record are read at once: what the getters return stands in the order of the fields."""

    labels: Callable[[object], tuple[object, ...]]
    texts: Callable[[object], tuple[object, ...]]
    nested: tuple[Field, ...]
    """Fields of several texts: facts, names of tools, candidates."""


@lru_cache(maxsize=64)
def plan(kind: type[msgspec.Struct]) -> Plan:
    """Return how the texts of a kind of record are read."""
    plain = [field for field in fields(kind) if not any(w in str(kind.__annotations__[field.name]) for w in _NESTED)]
    return Plan(
        labels=_getter([field.name for field in plain if field.label]),
        texts=_getter([field.name for field in plain if not field.label]),
        nested=tuple(field for field in fields(kind) if field not in plain),
    )


def _getter(names: Sequence[str]) -> Callable[[object], tuple[object, ...]]:
    if len(names) >= 2:
        return attrgetter(*names)
    return lambda record: tuple(getattr(record, name) for name in names)


def is_ours(text: str) -> bool:
    """Tell whether a reference is an id as Burnish makes them."""
    return len(text) == 36 and _OUR_ID.fullmatch(text) is not None


def records(bundle: Bundle) -> Iterator[tuple[str, msgspec.Struct]]:
    """Yield every record of a bundle with the field of the bundle that holds it."""
    if bundle.run is not None:
        yield "run", bundle.run
    if bundle.conversation is not None:
        yield "conversation", bundle.conversation
    for part in PARTS:
        for record in getattr(bundle, part):
            yield part, record


def described(name: object, value: object) -> str | None:
    """Return a fact as `name: value`, so that a rule that reads names finds it; None for what cannot hold any."""
    if isinstance(value, str):
        return f"{name}: {value}"
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) < 1e6:
        return None
    return f"{name}: {int(value)}" if value == int(value) else None
