"""What is hashed of an entry of the audit log: canonical bytes, whatever the payload holds."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import pytest
import rfc8785
from hypothesis import given, strategies as st

from burnish.errors import InvalidValue
from burnish.govern.entry import DEEPEST_PAYLOAD, LARGEST_PAYLOAD, Entry, canonical, made, safe

NOW = datetime(2026, 11, 24, 11, 5, 54, 123456, tzinfo=UTC)
SALT = "5a" * 32
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=90)
HOSTILE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters()), inner, max_size=4),
    max_leaves=12,
)


def an_entry(**changes: object) -> Entry:
    values: dict[str, object] = {
        "seq": 7,
        "event": "policy.promoted",
        "tenant": "acme",
        "actor": "person:ann",
        "subject": "coder/fix",
        "payload": {"from": "a", "to": "b"},
        "salt": SALT,
        "id": "019ab5a0-0000-7000-8000-000000000001",
        "at": NOW,
    }
    return made(**{**values, **changes})  # type: ignore[arg-type]  # values of a test


@given(TEXT, TEXT, TEXT, TEXT, st.integers(1, 2**53 - 1))
def test_a_leaf_is_rfc_8785_of_its_fields(tenant: str, event: str, actor: str, subject: str, seq: int) -> None:
    entry = an_entry(tenant=tenant, event=event, actor=actor, subject=subject, seq=seq)
    fields: dict[str, str | int] = {
        "seq": seq,
        "at": "2026-11-24T11:05:54.123456Z",
        "tenant": tenant,
        "event": event,
        "actor": actor,
    }
    rest: dict[str, str | int] = {"subject": subject, "payload_digest": entry.payload_digest, "id": entry.id}
    assert entry.leaf_bytes() == rfc8785.dumps(fields | rest)
    assert entry.leaf == entry.leaf_hash().hex()


@given(st.dictionaries(st.text(st.characters(exclude_categories=[])), HOSTILE, max_size=5))
def test_any_payload_is_made_safe_and_hashes_the_same_after_a_round_trip(payload: dict[str, object]) -> None:
    entry = an_entry(payload=payload)
    assert entry.payload_fits()
    kept = msgspec.json.decode(msgspec.json.encode(entry.payload))
    assert canonical(kept) == canonical(entry.payload or {})
    assert safe(kept) == kept
    assert b"\\u0000" not in canonical(kept)


@given(st.dictionaries(st.text(max_size=5), HOSTILE | st.floats(-2e16, 2e16) | st.floats(-1e-2, 1e-2), max_size=5))
def test_the_bytes_of_a_payload_are_rfc_8785_whichever_way_they_are_made(payload: dict[str, object]) -> None:
    kept = safe(payload)
    assert canonical(kept) == rfc8785.dumps(kept)  # type: ignore[arg-type]  # JSON by then


def test_numbers_that_json_does_not_have_are_kept_as_text() -> None:
    payload = {"nan": math.nan, "up": math.inf, "down": -math.inf, "large": 2**53, "fits": 2**53 - 1, "float": 1e300}
    assert safe(payload) == {
        "nan": "NaN",
        "up": "Infinity",
        "down": "-Infinity",
        "large": "9007199254740992",
        "fits": 2**53 - 1,
        "float": 1e300,
    }
    assert safe({"n": -(10**5000)})["n"] == hex(-(10**5000))


def test_values_of_python_become_values_of_json() -> None:
    identity = UUID("019ab5a0-0000-7000-8000-000000000001")
    payload: dict[Any, object] = {"at": NOW, "cost": Decimal("1.10"), "id": identity, 3: (1, 2), "raw": b"\x00"}
    assert safe(payload) == {
        "at": "2026-11-24T11:05:54.123456Z",
        "cost": "1.10",
        "id": str(identity),
        "3": [1, 2],
        "raw": "AA==",
    }


def test_numbers_of_numpy_are_numbers() -> None:
    payload = {"mean": np.float64(0.5), "n": np.int64(3), "ok": np.bool_(True), "nan": np.float32("nan")}
    assert safe(payload) == {"mean": 0.5, "n": 3, "ok": True, "nan": "NaN"}
    with pytest.raises(InvalidValue, match="JSON"):
        safe({"many": np.zeros(3)})


def test_text_that_no_database_keeps_is_replaced() -> None:
    assert safe({"a\0b": ["\ud800", "\ud83d\ude00", "é\0"]}) == {"a\ufffdb": ["\ufffd", "\U0001f600", "é\ufffd"]}


def test_what_cannot_be_kept_is_refused_and_named() -> None:
    nested: object = 1
    for _ in range(DEEPEST_PAYLOAD + 1):
        nested = [nested]
    endless: list[object] = []
    endless.append(endless)
    for bad, said in (
        ({"x": object()}, "JSON values"),
        ({"x": nested}, "nested"),
        ({"x": endless}, "payload"),
        ({"x": "y" * LARGEST_PAYLOAD}, "larger"),
        ([1], "dict"),
    ):
        with pytest.raises(InvalidValue, match=said):
            safe(bad)  # type: ignore[arg-type]  # the wrong type is the point


@pytest.mark.parametrize(
    ("field", "value"),
    [("tenant", ""), ("event", "x" * 101), ("actor", "a\0b"), ("subject", "\ud800"), ("subject", "x" * 501)],
)
def test_a_text_that_a_column_cannot_hold_is_refused(field: str, value: str) -> None:
    with pytest.raises(InvalidValue, match=field):
        an_entry(**{field: value})


def test_a_time_without_zone_is_refused_and_any_zone_is_the_same_moment() -> None:
    with pytest.raises(InvalidValue, match="zone"):
        an_entry(at=NOW.replace(tzinfo=None))
    assert an_entry(at=NOW.astimezone(timezone(timedelta(hours=5)))).leaf == an_entry().leaf


def test_every_field_is_in_the_leaf() -> None:
    changes: list[dict[str, object]] = [
        {"seq": 8},
        {"event": "policy.retired"},
        {"tenant": "other"},
        {"actor": "person:bob"},
        {"subject": "coder/other"},
        {"payload": {"from": "a", "to": "c"}},
        {"salt": "5b" * 32},
        {"id": "019ab5a0-0000-7000-8000-000000000002"},
        {"at": NOW + timedelta(microseconds=1)},
    ]
    assert len({an_entry(**change).leaf for change in [{}, *changes]}) == len(changes) + 1


def test_an_erased_payload_fits_and_one_that_is_only_gone_does_not() -> None:
    entry = an_entry()
    assert msgspec.structs.replace(entry, payload=None, salt="").payload_fits()
    assert not msgspec.structs.replace(entry, payload=None).payload_fits()
    assert not msgspec.structs.replace(entry, salt="no hexadecimal").payload_fits()
    assert not msgspec.structs.replace(entry, payload=json.loads('{"from": "a"}')).payload_fits()
