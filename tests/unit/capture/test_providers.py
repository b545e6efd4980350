"""What `read_reply` finds in the replies of the real SDKs and of their look-alikes."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING

import anthropic.types as at
import openai.types.responses as ot
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from burnish.capture.providers import CallFacts, read_reply

if TYPE_CHECKING:
    from pydantic import BaseModel

CHAT = ChatCompletion.model_validate(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-5.4-2026-03-05",
        "choices": [
            {
                "index": 0,
                "finish_reason": "tool_calls",
                "message": {
                    "role": "assistant",
                    "content": "Let me look.",
                    "tool_calls": [
                        {"id": "a", "type": "function", "function": {"name": "get_order", "arguments": "{}"}},
                        {"id": "b", "type": "custom", "custom": {"name": "run_sql", "input": "select 1"}},
                        {"id": "c", "type": "function", "function": {"name": "get_order", "arguments": "{}"}},
                    ],
                },
            }
        ],
        "usage": {
            "prompt_tokens": 1200,
            "completion_tokens": 80,
            "total_tokens": 1280,
            "prompt_tokens_details": {"cached_tokens": 1000, "cache_write_tokens": 100},
            "completion_tokens_details": {"reasoning_tokens": 30},
        },
    }
)
CHAT_FACTS = CallFacts(
    model="gpt-5.4-2026-03-05",
    provider="openai",
    prompt_tokens=1200,
    completion_tokens=80,
    cached_tokens=1000,
    cache_write_tokens=100,
    reasoning_tokens=30,
    output_text="Let me look.",
    finish_reason="tool_calls",
    tool_names=("get_order", "run_sql", "get_order"),
    response_id="chatcmpl-1",
)

RESPONSE = ot.Response.model_validate(
    {
        "id": "resp_1",
        "object": "response",
        "created_at": 1.0,
        "model": "gpt-6.1-sol",
        "status": "completed",
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "output": [
            {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "hidden"}]},
            {"type": "web_search_call", "id": "w", "status": "completed", "action": {"type": "search", "query": "q"}},
            {"type": "function_call", "call_id": "f", "name": "cancel_order", "arguments": "{}"},
            {
                "type": "message",
                "id": "m",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "Cancelled.", "annotations": []}],
            },
        ],
        "usage": {
            "input_tokens": 500,
            "input_tokens_details": {"cached_tokens": 200, "cache_write_tokens": 50},
            "output_tokens": 40,
            "output_tokens_details": {"reasoning_tokens": 25},
            "total_tokens": 540,
        },
    }
)
RESPONSE_FACTS = CallFacts(
    model="gpt-6.1-sol",
    provider="openai",
    prompt_tokens=500,
    completion_tokens=40,
    cached_tokens=200,
    cache_write_tokens=50,
    reasoning_tokens=25,
    output_text="Cancelled.",
    finish_reason="completed",
    tool_names=("web_search", "cancel_order"),
    response_id="resp_1",
)

MESSAGE = at.Message.model_validate(
    {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": [
            {"type": "thinking", "thinking": "hidden", "signature": "s"},
            {"type": "text", "text": "On it. "},
            {"type": "tool_use", "id": "t", "name": "refund", "input": {"id": 1}},
            {"type": "text", "text": "Done."},
        ],
        "stop_reason": "tool_use",
        "usage": {
            "input_tokens": 10,
            "cache_read_input_tokens": 900,
            "cache_creation_input_tokens": 300,
            "cache_creation": {"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 70,
            "output_tokens_details": {"thinking_tokens": 20},
        },
    }
)
MESSAGE_FACTS = CallFacts(
    model="claude-sonnet-4-5-20250929",
    provider="anthropic",
    prompt_tokens=1210,
    completion_tokens=70,
    cached_tokens=900,
    cache_write_tokens=300,
    reasoning_tokens=20,
    output_text="On it. Done.",
    finish_reason="tool_use",
    tool_names=("refund",),
    response_id="msg_1",
)


@pytest.mark.parametrize(
    ("reply", "facts"),
    [(CHAT, CHAT_FACTS), (RESPONSE, RESPONSE_FACTS), (MESSAGE, MESSAGE_FACTS)],
    ids=["chat", "response", "message"],
)
def test_a_reply_reads_the_same_as_an_object_as_a_dict_and_as_json(reply: BaseModel, facts: CallFacts) -> None:
    assert read_reply(reply) == facts
    assert read_reply(reply.model_dump()) == facts
    assert read_reply(json.loads(reply.model_dump_json())) == facts


def test_a_refusal_is_the_output() -> None:
    chat = CHAT.model_dump()
    chat["choices"][0]["message"] |= {"content": None, "refusal": "I cannot.", "tool_calls": None}
    assert read_reply(ChatCompletion.model_validate(chat)).output_text == "I cannot."
    response = RESPONSE.model_dump()
    response["output"][-1]["content"] = [{"type": "refusal", "refusal": "No."}]
    assert read_reply(ot.Response.model_validate(response)).output_text == "No."


def test_a_cut_off_response_gives_the_reason() -> None:
    cut = RESPONSE.model_copy(update={"status": "incomplete"})
    cut.incomplete_details = ot.response.IncompleteDetails(reason="max_output_tokens")
    assert read_reply(cut).finish_reason == "max_output_tokens"


def test_the_last_events_of_streams_carry_the_usage() -> None:
    chunk = ChatCompletionChunk.model_validate(
        CHAT.model_dump(exclude={"choices"}) | {"choices": [], "object": "chat.completion.chunk"}
    )
    assert read_reply(chunk) == CallFacts(
        model=CHAT.model,
        provider="openai",
        prompt_tokens=1200,
        completion_tokens=80,
        cached_tokens=1000,
        cache_write_tokens=100,
        reasoning_tokens=30,
        response_id="chatcmpl-1",
    )
    completed = ot.ResponseCompletedEvent(response=RESPONSE, sequence_number=9, type="response.completed")
    assert read_reply(completed) == RESPONSE_FACTS
    assert read_reply(at.RawMessageStartEvent(message=MESSAGE, type="message_start")) == MESSAGE_FACTS
    delta = at.RawMessageDeltaEvent.model_validate(
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": MESSAGE.usage.model_dump()}
    )
    facts = read_reply(delta)
    assert (facts.prompt_tokens, facts.completion_tokens, facts.finish_reason) == (1210, 70, "end_turn")


def test_cache_writes_given_only_by_retention_time_are_added_up() -> None:
    usage = at.Usage(
        input_tokens=1,
        output_tokens=2,
        cache_creation=at.CacheCreation(ephemeral_5m_input_tokens=30, ephemeral_1h_input_tokens=4),
    )
    facts = read_reply(MESSAGE.model_copy(update={"usage": usage}))
    assert (facts.prompt_tokens, facts.cache_write_tokens, facts.cached_tokens) == (35, 34, None)


def test_compatible_servers_are_read_with_their_own_words() -> None:
    router = ChatCompletion.model_validate(CHAT.model_dump() | {"usage": CHAT.model_dump()["usage"] | {"cost": 0.0123}})
    assert read_reply(router).cost_usd == 0.0123
    deepseek = {"model": "m", "usage": {"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 4}}
    assert read_reply(deepseek).cached_tokens == 4
    details = {"completion_tokens_details": {"reasoning_tokens": 50}}
    apart = {"usage": {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 155, **details}}
    assert read_reply(apart).completion_tokens == 55
    old = {"choices": [{"message": {"content": None, "function_call": {"name": "f"}}, "finish_reason": "stop"}]}
    assert read_reply(old).tool_names == ("f",)


def test_a_langchain_message_counts_cache_as_input_already() -> None:
    message = SimpleNamespace(
        type="ai",
        id="run-1",
        content=[{"type": "text", "text": "hi"}, {"type": "tool_use", "name": "look", "input": {}}],
        tool_calls=[{"name": "look", "args": {}, "id": "1"}],
        usage_metadata={
            "input_tokens": 100,
            "output_tokens": 7,
            "total_tokens": 107,
            "input_token_details": {"cache_read": 60, "cache_creation": 0, "ephemeral_5m_input_tokens": 30},
            "output_token_details": {"reasoning": 2},
        },
        response_metadata={
            "model_name": "claude-x",
            "model_provider": "anthropic",
            "id": "msg_9",
            "stop_reason": "end",
        },
    )
    assert read_reply(message) == CallFacts(
        model="claude-x",
        provider="anthropic",
        prompt_tokens=100,
        completion_tokens=7,
        cached_tokens=60,
        cache_write_tokens=30,
        reasoning_tokens=2,
        output_text="hi",
        finish_reason="end",
        tool_names=("look",),
        response_id="msg_9",
    )
