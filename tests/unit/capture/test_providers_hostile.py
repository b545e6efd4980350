"""`read_reply` on neutral dicts, on numbers that cannot be, and on replies that misbehave."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, NoReturn
from unittest.mock import MagicMock, Mock

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

from burnish.capture import providers
from burnish.capture.providers import CallFacts, read_reply
from burnish.errors import InvalidValue

KEYS = (
    "id model provider object type choices message delta content output text refusal tool_calls function name "
    "function_call tool_names usage usage_metadata response_metadata token_usage prompt_tokens input_tokens "
    "completion_tokens output_tokens total_tokens prompt_tokens_details input_tokens_details input_token_details "
    "completion_tokens_details output_tokens_details cached_tokens cache_read cache_creation cache_write_tokens "
    "cache_read_input_tokens cache_creation_input_tokens ephemeral_5m_input_tokens reasoning_tokens cost cost_usd "
    "latency_s latency_ms duration_s stop_reason finish_reason incomplete_details reason response status"
)
WORDS = "message message_start response.completed text tool_use function_call chat.completion openai anthropic"

COUNTS = st.integers(0, 10**6)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.sampled_from(WORDS.split()), COUNTS
)
REPLIES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS.split()), inner, max_size=6)
    ),
    max_leaves=30,
)


def _read(reply: object) -> tuple[CallFacts, InvalidValue | None]:
    try:
        return read_reply(reply), None
    except InvalidValue as error:
        return CallFacts(), error


@given(REPLIES)
@example({"usage": {"prompt_tokens": 10**5000}})
@example({"choices": [[[[["deep"]]]]], "content": [{"content": [{"content": [{"content": "deep"}]}]}]})
def test_anything_json_can_say_is_read_or_refused_by_name(reply: object) -> None:
    facts, refused = _read(reply)
    assert refused is None or refused.field in KEYS.split()
    for count in (facts.prompt_tokens, facts.completion_tokens, facts.cached_tokens, facts.cost_usd, facts.latency_s):
        assert count is None or 0 <= count < math.inf


@given(fresh=COUNTS, cached=COUNTS, written=COUNTS, out=COUNTS)
def test_one_call_reads_the_same_in_both_ways_of_counting(fresh: int, cached: int, written: int, out: int) -> None:
    apart = {
        "input_tokens": fresh,
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": written,
        "output_tokens": out,
    }
    details = {"cached_tokens": cached, "cache_write_tokens": written}
    whole = {"prompt_tokens": fresh + cached + written, "prompt_tokens_details": details, "completion_tokens": out}
    assert read_reply({"usage": apart}) == read_reply({"usage": whole}) == read_reply(apart)


def test_a_plain_dict_may_use_neutral_keys() -> None:
    call = {
        "model": "mine",
        "input_tokens": 12,
        "output_tokens": 3,
        "cached_tokens": 5,
        "cost_usd": Decimal("0.25"),
        "latency_ms": 1500,
        "output": "hello",
        "finish_reason": "stop",
        "tool_names": ["a", 3, "b"],
    }
    assert read_reply(call) == CallFacts(
        model="mine",
        prompt_tokens=12,
        completion_tokens=3,
        cached_tokens=5,
        cost_usd=0.25,
        latency_s=1.5,
        output_text="hello",
        finish_reason="stop",
        tool_names=("a", "b"),
    )


@pytest.mark.parametrize(
    ("stated", "seconds"),
    [({"latency_s": 2}, 2.0), ({"duration_s": 0.5}, 0.5), ({"latency_ms": 20, "latency_s": 1}, 1.0)],
)
def test_latency_is_in_seconds_whatever_the_unit_stated(stated: dict[str, float], seconds: float) -> None:
    assert read_reply(stated).latency_s == seconds


def test_litellm_states_its_cost_in_a_private_place() -> None:
    reply = Mock(spec=["_hidden_params"])
    reply._hidden_params = {"response_cost": 0.002}
    assert read_reply(reply).cost_usd == 0.002


@pytest.mark.parametrize(
    "value",
    [-1, -0.5, math.nan, math.inf, -math.inf, 2**53, pytest.param(10**5000, id="huge"), Decimal("NaN"), np.float32(-1)],
)
@pytest.mark.parametrize(
    ("field", "reply"),
    [
        ("prompt_tokens", lambda value: {"usage": {"prompt_tokens": value}}),
        ("input_tokens", lambda value: {"input_tokens": value}),
        ("output_tokens", lambda value: {"usage": {"output_tokens": value}}),
        ("cached_tokens", lambda value: {"usage": {"prompt_tokens_details": {"cached_tokens": value}}}),
        ("cache_creation_input_tokens", lambda value: {"usage": {"cache_creation_input_tokens": value}}),
        ("reasoning_tokens", lambda value: {"usage": {"output_tokens_details": {"reasoning_tokens": value}}}),
        ("cost", lambda value: {"usage": {"cost": value}}),
        ("latency_ms", lambda value: {"latency_ms": value}),
    ],
)
def test_a_number_that_cannot_be_is_refused_by_name(field: str, reply: Any, value: object) -> None:
    with pytest.raises(InvalidValue) as refused:
        read_reply(reply(value))
    assert refused.value.field == field


def test_a_fraction_of_a_token_is_refused() -> None:
    with pytest.raises(InvalidValue, match=r"prompt_tokens=1\.5 .* whole"):
        read_reply({"prompt_tokens": 1.5})


@pytest.mark.parametrize("number", [7, 7.0, Decimal(7), Fraction(7), np.int64(7), np.float32(7)])
def test_every_real_number_counts(number: object) -> None:
    facts = read_reply({"prompt_tokens": number, "cost_usd": number})
    assert (facts.prompt_tokens, facts.cost_usd) == (7, 7.0)
    assert (type(facts.prompt_tokens), type(facts.cost_usd)) == (int, float)


class _Raises:
    def __getattribute__(self, name: str) -> NoReturn:
        raise RuntimeError(name)


class _RaisesInside:
    usage = model = choices = content = _Raises()


class _Liar(dict[str, Any]):
    def get(self, *_: object) -> NoReturn:
        raise KeyError


class _Mapped(Mapping[str, Any]):
    def __getitem__(self, key: str) -> NoReturn:
        raise OSError(key)

    def __iter__(self) -> Iterator[str]:
        raise OSError

    def __len__(self) -> int:
        raise OSError


class _NumberThatRaises(float):
    def __float__(self) -> NoReturn:
        raise RuntimeError


class _ListThatRaises(list[object]):
    def __iter__(self) -> NoReturn:
        raise RuntimeError


class _Endless:
    """Every attribute is itself."""

    def __getattr__(self, name: str) -> _Endless:
        return self


@pytest.mark.parametrize(
    "reply",
    [
        None,
        True,
        3,
        "text",
        b"bytes",
        object(),
        int,
        [],
        [{"model": "in a list"}],
        (),
        {},
        {1: 2, None: None},
        {"usage": True, "model": 3, "choices": {}, "content": 1.5, "id": b"x"},
        {"prompt_tokens": True, "completion_tokens": "12", "cost_usd": [1], "latency_s": None},
        {"choices": _ListThatRaises([1]), "content": _ListThatRaises()},
        {"prompt_tokens": 1j, "completion_tokens": object()},
        {"prompt_tokens": Mock(spec=int), "cost_usd": MagicMock(spec=float), "model": Mock(spec=str)},
        MagicMock(),
        Mock(),
        Mock(spec=dict),
    ],
    ids=lambda reply: type(reply).__name__,
)
def test_what_is_no_reply_says_nothing(reply: object) -> None:
    assert read_reply(reply) == CallFacts()


@pytest.mark.parametrize("kind", [_Raises, _RaisesInside, _Liar, _Mapped, _Endless])
def test_a_reply_whose_own_code_fails_says_nothing(kind: type) -> None:
    assert read_reply(kind()) == CallFacts()
    assert read_reply({"usage": kind(), "choices": [kind()], "content": [kind()]}) == CallFacts(provider="openai")


def test_a_number_that_cannot_be_read_is_left_out() -> None:
    assert read_reply({"cost_usd": _NumberThatRaises(3), "prompt_tokens": Decimal("sNaN")}) == CallFacts()


def test_a_reply_that_contains_itself_ends() -> None:
    content: list[object] = []
    content.append({"content": content, "type": "message"})
    reply: dict[str, object] = {"content": content, "model": "m"}
    reply["usage"] = reply["message"] = reply["response"] = reply
    assert read_reply(reply) == CallFacts(model="m")


def test_text_comes_back_as_plain_text() -> None:
    class Str(str):
        __slots__ = ()

    assert type(read_reply({"model": Str("m")}).model) is str


plain = st.dictionaries(
    st.sampled_from(
        ["model", "prompt_tokens", "input_tokens", "completion_tokens", "output_tokens", "cost_usd", "latency_s"]
    ),
    st.none() | st.booleans() | st.integers(0, 10**6) | st.floats(0, 1e6) | st.text(max_size=5),
)


@settings(max_examples=500)
@given(plain)
def test_the_short_way_for_plain_dicts_finds_what_the_long_way_finds(reply: dict[str, object]) -> None:
    def outcome(read: Callable[[object], object]) -> object:
        try:
            return read(reply)
        except InvalidValue as error:
            return str(error)

    assert outcome(read_reply) == outcome(providers._read_any)
