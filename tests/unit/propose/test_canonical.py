"""Canonical bytes: the vectors of RFC 8785, through the form in which a policy is hashed and signed."""

from __future__ import annotations

import json
import math
import struct

import pytest
import rfc8785
from hypothesis import given, strategies as st

from burnish.errors import InvalidValue
from burnish.propose.policy import Policy, digest_of, read
from burnish.propose.statement import is_canonical

NUMBERS = """
0000000000000000 0
8000000000000000 0
0000000000000001 5e-324
8000000000000001 -5e-324
7fefffffffffffff 1.7976931348623157e+308
ffefffffffffffff -1.7976931348623157e+308
4340000000000000 9007199254740992
c340000000000000 -9007199254740992
4430000000000000 295147905179352830000
44b52d02c7e14af5 9.999999999999997e+22
44b52d02c7e14af6 1e+23
44b52d02c7e14af7 1.0000000000000001e+23
444b1ae4d6e2ef4e 999999999999999700000
444b1ae4d6e2ef4f 999999999999999900000
444b1ae4d6e2ef50 1e+21
3eb0c6f7a0b5ed8c 9.999999999999997e-7
3eb0c6f7a0b5ed8d 0.000001
41b3de4355555553 333333333.3333332
41b3de4355555554 333333333.33333325
41b3de4355555555 333333333.3333333
41b3de4355555556 333333333.3333334
41b3de4355555557 333333333.33333343
becbf647612f3696 -0.0000033333333333333333
43143ff3c1cb0959 1424953923781206.2
"""
"""RFC 8785, appendix B: the bits of a double, and how it is written."""


def policy(**fields: object) -> Policy:
    facts = {"tenant": "t", "agent": "a", "author": "person:x", "created": "2026-01-01T00:00:00Z", **fields}
    return Policy(**facts)  # type: ignore[arg-type]  # fields of a test


@pytest.mark.parametrize("row", NUMBERS.split("\n")[1:-1])
def test_numbers_are_written_as_ecmascript_writes_them(row: str) -> None:
    bits, text = row.split()
    number = struct.unpack(">d", bytes.fromhex(bits))[0]
    assert f'"parameters":{{"n":{text}}}'.encode() in policy(parameters={"n": number}).canonical
    assert is_canonical(text.encode())


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 2**53, -(2**53), 10**400])
def test_numbers_that_not_every_reader_keeps_have_no_canonical_form(number: float) -> None:
    with pytest.raises(InvalidValue, match="it has no canonical form"):
        _ = policy(parameters={"n": number}).canonical


def test_names_are_sorted_by_their_utf_16_units() -> None:
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\x80", "\u00f6"]
    found = json.loads(policy(prompts=dict.fromkeys(names, "")).canonical)["prompts"]
    assert list(found) == ["\r", "1", "\x80", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


def test_text_is_escaped_as_little_as_json_allows() -> None:
    canonical = policy(note='\u20ac$\x0f\nA\'B"\\\\"/\u2028\x7f').canonical
    assert '"note":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/\u2028\x7f"'.encode() in canonical


def test_the_sample_of_the_specification() -> None:
    sample = (
        '{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],'
        '"string":"\\u20ac$\\u000F\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/","literals":[null,true,false]}'
    )
    wanted = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    ).encode()
    assert rfc8785.dumps(json.loads(sample)) == wanted
    assert is_canonical(wanted)
    assert not is_canonical(sample.encode())


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1,"a":1}',
        b'{"b":1,"a":1}',
        b"[1.0]",
        b"[-0]",
        b"[1e1]",
        b"[1, 2]",
        b"[1]\n",
        b"\xef\xbb\xbf[1]",
        b'["\\u0041"]',
        b'["\\ud800"]',
        b"[NaN]",
        b"[Infinity]",
        b"[1e400]",
        b"[9007199254740993]",
        b"[" * 100_000,
        b"[" + b"9" * 100_000 + b"]",
        b"\xff",
        b"",
        "[1]".encode("utf-16"),
    ],
)
def test_any_other_way_to_write_it_is_not_canonical(text: bytes) -> None:
    assert not is_canonical(text)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
)


@given(value=JSON)
def test_what_was_made_canonical_is_canonical(value: object) -> None:
    assert is_canonical(rfc8785.dumps(value))  # type: ignore[arg-type]  # JSON by construction


def test_a_policy_that_is_read_back_has_the_same_digest() -> None:
    made = policy(prompts={"system": "ä\n"}, parameters={"temperature": 1.0, "n": -0.0, "on": True})
    assert read(made.canonical).digest == made.digest == digest_of(made.canonical)
