"""Read a provider's reply: model, tokens, cost, latency, text, tools, whatever shape it comes in.

Works on names alone, without any provider's package: OpenAI chat completions and responses, Anthropic messages, their
final stream events, compatible replies, LangChain messages, as objects or dicts, and plain dicts with neutral keys. A
reply is not trusted to be well-behaved: what is not there, cannot be read or is of the wrong kind is None.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, cast

import msgspec

from burnish.errors import InvalidValue

LIMIT = 2**53  # past it a float no longer counts in ones, and no reply is that large

_WHERE = """
model          model  response_metadata.model_name  response_metadata.model  response_metadata.model_id
id             response_metadata.id  id  response_id
provider       response_metadata.model_provider  provider
finish         choices.0.finish_reason  stop_reason  delta.stop_reason  incomplete_details.reason
finish         response_metadata.finish_reason  response_metadata.stop_reason  finish_reason  status
text           choices.0.message.content  choices.0.message.refusal  choices.0.delta.content  choices.0.delta.refusal
text           choices.0.text  content  output  text  output_text
calls          choices.0.message.tool_calls  choices.0.delta.tool_calls  tool_calls
called         choices.0.message.function_call.name
call_name      function.name  custom.name  name
cost           cost_usd  total_cost_usd  cost  _hidden_params.response_cost
seconds        latency_s  duration_s
milliseconds   latency_ms  duration_ms
usage          usage  usage_metadata  response_metadata.token_usage  response_metadata.usage
cached         prompt_tokens_details.cached_tokens  input_tokens_details.cached_tokens  input_token_details.cache_read
cached         cache_read_input_tokens  prompt_cache_hit_tokens  cached_tokens
written        prompt_tokens_details.cache_write_tokens  prompt_tokens_details.cache_creation_tokens
written        input_tokens_details.cache_write_tokens  input_token_details.cache_creation
written        cache_creation_input_tokens  cache_write_tokens
written_5m     cache_creation.ephemeral_5m_input_tokens  input_token_details.ephemeral_5m_input_tokens
written_1h     cache_creation.ephemeral_1h_input_tokens  input_token_details.ephemeral_1h_input_tokens
completion     completion_tokens  output_tokens
reasoning      completion_tokens_details.reasoning_tokens  output_tokens_details.reasoning_tokens
reasoning      output_tokens_details.thinking_tokens  output_token_details.reasoning  reasoning_tokens
"""
"""Where each fact may stand, in order of preference: names joined by dots, 0 for the first of a list."""

_PLAIN = frozenset(
    {"model", "prompt_tokens", "input_tokens", "completion_tokens", "output_tokens", "cost_usd", "latency_s"}
)
_CACHE_APART = ("cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation")
_PATHS: dict[str, list[tuple[str, ...]]] = {}
for _fact, *_places in map(str.split, _WHERE.strip().splitlines()):
    _PATHS.setdefault(_fact, []).extend(tuple(place.split(".")) for place in _places)


class CallFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What one reply says about the call that made it. None means the reply does not say.

    Tokens are counted one way for every provider: `prompt_tokens` is all input, read from and written to the
    provider's cache included. OpenAI counts like that; Anthropic's `input_tokens` leaves both out, so they are added.
    `cached_tokens` and `cache_write_tokens` are parts of `prompt_tokens`, `reasoning_tokens` of `completion_tokens`.
    `provider` is whose format the reply has. `cost_usd` is only what the reply itself states (else `PriceTable.cost`).
    `output_text` is the text, or the refusal, of the first choice. `tool_names` has one name a call, in order.
    """

    model: str | None = None
    provider: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_usd: float | None = None
    latency_s: float | None = None
    output_text: str | None = None
    finish_reason: str | None = None
    tool_names: tuple[str, ...] = ()
    response_id: str | None = None


def read_reply(reply: object) -> CallFacts:
    """Read what a provider's reply, or the last event of its stream, says about the call.

    A plain dict may use `model`, `prompt_tokens` or `input_tokens` (cache included, unless under Anthropic's cache
    names), `completion_tokens` or `output_tokens`, `cost_usd`, `latency_s`, `latency_ms` or `duration_s`, `output`.

    Raises:
        InvalidValue: A number is negative, NaN, infinite, above 2**53 or no whole count. Names the reply's field.
    """
    if type(reply) is dict and reply.keys() <= _PLAIN:
        return _read_plain(reply)
    return _read_any(reply)


def _read_plain(reply: dict[str, object]) -> CallFacts:
    """Read the commonest plain dict in a tenth of the time; the same facts as `_read_any` finds."""
    whole, fresh = (_whole(name, reply.get(name)) for name in ("prompt_tokens", "input_tokens"))
    completion = ("completion_tokens", "output_tokens")
    return CallFacts(
        model=_text(reply.get("model")),
        cost_usd=None if (cost := _number("cost_usd", reply.get("cost_usd"))) is None else float(cost),
        latency_s=None if (latency := _number("latency_s", reply.get("latency_s"))) is None else float(latency),
        prompt_tokens=fresh if whole is None else whole,
        completion_tokens=next((n for name in completion if (n := _whole(name, reply.get(name))) is not None), None),
    )


def _read_any(reply: object) -> CallFacts:
    kind = _text(_get(reply, "type"))
    event = _get(reply, "message" if kind == "message_start" else "response") if kind else None
    body = reply if event is None else event  # an event of a stream may carry the reply
    seconds, milliseconds = _stated("seconds", body), _stated("milliseconds", body)
    return CallFacts(
        model=_text_at(body, "model"),
        provider=_provider(body),
        cost_usd=_stated("cost", body, *(_at(body, path) for path in _PATHS["usage"])),
        latency_s=milliseconds / 1e3 if seconds is None and milliseconds is not None else seconds,
        output_text=next(filter(None, (_said(_at(body, path)) for path in _PATHS["text"])), None),
        finish_reason=_text_at(body, "finish"),
        tool_names=_tools(body),
        response_id=_text_at(body, "id"),
        **_tokens(body),
    )


def _tokens(body: object) -> dict[str, Any]:
    for usage in (*(_at(body, path) for path in _PATHS["usage"]), body):
        cached, written, reasoning = _count(usage, "cached"), _written(usage), _count(usage, "reasoning")
        prompt = _prompt(usage, cached, written)
        found = {
            "prompt_tokens": prompt,
            "completion_tokens": _completion(usage, prompt, reasoning),
            "cached_tokens": cached,
            "cache_write_tokens": written,
            "reasoning_tokens": reasoning,
        }
        if any(count is not None for count in found.values()):
            return found
    return {}


def _prompt(usage: object, cached: int | None, written: int | None) -> int | None:
    whole, fresh = (_whole(name, _get(usage, name)) for name in ("prompt_tokens", "input_tokens"))
    if whole is not None or fresh is None:
        return whole
    apart = any(_get(usage, name) is not None for name in _CACHE_APART)
    return fresh + (cached or 0) + (written or 0) if apart else fresh


def _completion(usage: object, prompt: int | None, reasoning: int | None) -> int | None:
    """Completion tokens with reasoning; a total that only adds up with reasoning says it was counted apart."""
    given, total = _count(usage, "completion"), _whole("total_tokens", _get(usage, "total_tokens"))
    if given is None or prompt is None or not reasoning:
        return given
    return given + reasoning if total == prompt + given + reasoning else given


def _written(usage: object) -> int | None:
    """Tokens written to the cache; the sum over retention times where only those are given."""
    total = _count(usage, "written")
    return total or (_count(usage, "written_5m") or 0) + (_count(usage, "written_1h") or 0) or total


def _provider(body: object) -> str | None:
    stated = _text_at(body, "provider")
    if stated in {"openai", "anthropic"}:
        return stated
    openai = (_text(_get(body, "object")) or "").startswith(("chat.completion", "text_completion", "response"))
    if openai or _items(_get(body, "choices")):
        return "openai"
    return "anthropic" if _text(_get(body, "type")) in {"message", "message_delta"} else None


def _said(content: object, depth: int = 3) -> str | None:
    """The text of a content field: a string, or blocks of which only the spoken ones count."""
    if depth == 0 or _text(content):
        return _text(content)
    return "".join(_part(item, depth - 1) or "" for item in _items(content)) or None


def _part(item: object, depth: int) -> str | None:
    if _text(item) or _text(_get(item, "type")) not in {None, "text", "output_text", "refusal", "message"}:
        return _text(item)
    return next(filter(None, (_said(_get(item, name), depth) for name in ("text", "refusal", "content"))), None)


def _tools(body: object) -> tuple[str, ...]:
    """Names from the first place that has any: a message may repeat its calls among its content blocks."""
    for path in _PATHS["calls"]:
        names = tuple(filter(None, (_text_at(call, "call_name") for call in _items(_at(body, path)))))
        if names:
            return names
    blocks = (*_items(_get(body, "content")), *_items(_get(body, "output")))
    plain = (_text_at(body, "called"), *map(_text, _items(_get(body, "tool_names"))))
    return tuple(filter(None, map(_called, blocks))) or tuple(filter(None, plain))


def _called(block: object) -> str | None:
    kind = _text(_get(block, "type")) or ""
    named = _text(_get(block, "name")) or kind.removesuffix("_call")
    return named if kind.endswith(("tool_use", "_call")) else None


def _stated(fact: str, *sources: object) -> float | None:
    numbers = (_number(path[-1], _at(source, path)) for source in sources for path in _PATHS[fact])
    return next((float(number) for number in numbers if number is not None), None)


def _count(usage: object, fact: str) -> int | None:
    counts = (_whole(path[-1], _at(usage, path)) for path in _PATHS[fact])
    return next((count for count in counts if count is not None), None)


def _whole(field: str, value: object) -> int | None:
    number = _number(field, value)
    if number is not None and number != int(number):
        raise InvalidValue(field, number, "the provider must state a whole number of tokens")
    return None if number is None else int(number)


def _number(field: str, value: object) -> int | float | None:
    """A real number in [0, 2**53); None for anything that is not a number, booleans and mocks included."""
    kind = type(value)  # what it is, not what it says it is
    try:
        if kind in {bool, type(None)} or not issubclass(kind, (Real, Decimal)):
            return None
        number = operator.index(cast("int", value)) if issubclass(kind, Integral) else float(cast("float", value))
    except Exception:  # noqa: BLE001 - a number that cannot be read is not a number
        return None
    if 0 <= number < LIMIT:
        return number
    shown = number if isinstance(number, float) or number.bit_length() < 99 else f"{number.bit_length()} bits"
    raise InvalidValue(field, shown, "the provider must state a finite number from 0 to below 2**53")


def _text_at(source: object, fact: str) -> str | None:
    return next(filter(None, (_text(_at(source, path)) for path in _PATHS[fact])), None)


def _text(value: object) -> str | None:
    return (str.__str__(cast("str", value)) or None) if issubclass(type(value), str) else None


def _items(value: object) -> tuple[object, ...]:
    try:
        return tuple(cast("list[object]", value)) if issubclass(type(value), (list, tuple)) else ()
    except Exception:  # noqa: BLE001 - a list that cannot be walked is an empty one
        return ()


def _at(source: object, path: tuple[str, ...]) -> object:
    for name in path:
        if source is None:
            break
        source = next(iter(_items(source)), None) if name == "0" else _get(source, name)
    return source


def _get(source: object, name: str) -> object:
    """The item or attribute of that name; None when there is none or it cannot be read."""
    try:
        if type(source) is dict or isinstance(source, Mapping):
            return source.get(name)
        if hasattr(type(source), "__pydantic_fields__") and name[0] != "_":  # getattr is slow to say that it has none
            model = cast("Any", source)
            return model.__dict__[name] if name in model.__dict__ else (model.__pydantic_extra__ or {}).get(name)
        return getattr(source, name, None)
    except Exception:  # noqa: BLE001 - a reply's own code may raise anything
        return None
