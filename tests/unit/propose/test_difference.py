"""Differences between policies: complete, in order, and readable."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from hypothesis import given, strategies as st

from burnish.propose.difference import MOST_LINES, Change, diff, rendered
from burnish.propose.policy import Policy, RoutingRule

OLD = Policy(
    tenant="t",
    agent="a",
    author="person:x",
    created="2026-01-01T00:00:00Z",
    prompts={"system": "one\ntwo\nthree\n", "critic": "short"},
    parameters={"temperature": 0.5, "n": 1},
    model_parameters={"small-1.5": {"top_p": 0.9}},
    models=("small-1.5", "large"),
    routing=(RoutingRule(model="small-1.5"),),
)


def changed(**fields: object) -> list[Change]:
    return diff(OLD, msgspec.structs.replace(OLD, **fields))


def test_the_same_policy_has_no_difference() -> None:
    assert changed() == []
    assert rendered([]) == "no difference"
    assert changed(parameters={"n": 1.0, "temperature": 0.5}) == [], "1 and 1.0 are one number"


def test_a_value_is_named_by_its_path() -> None:
    assert changed(parameters={"temperature": 0.7, "n": True}) == [
        Change(path="parameters.n", before=1, after=True),
        Change(path="parameters.temperature", before=0.5, after=0.7),
    ]
    assert changed(model_parameters={"small-1.5": {}}) == [
        Change(path='model_parameters["small-1.5"].top_p', before=0.9)
    ]
    assert changed(tools=("grep",)) == [Change(path="tools", after=["grep"])]
    assert changed(high_stakes=True) == [Change(path="high_stakes", before=False, after=True)]


def test_a_rule_put_first_is_one_change() -> None:
    first = RoutingRule(when={"task_type": "review"}, model="large")
    assert changed(routing=(first, *OLD.routing)) == [
        Change(path="routing[0]", after={"when": {"task_type": "review"}, "model": "large"})
    ]
    assert changed(routing=()) == [Change(path="routing[0]", before={"when": {}, "model": "small-1.5"})]


def test_the_order_of_models_matters() -> None:
    assert {change.path for change in changed(models=("large", "small-1.5"))} <= {"models[0]", "models[1]"}
    assert changed(models=("large", "small-1.5"))


def test_a_prompt_is_shown_as_a_unified_diff() -> None:
    found = changed(prompts={"system": "one\n2\nthree\n", "critic": "shorter"})
    assert rendered(found) == (
        'prompts.critic\n  - "short"\n  + "shorter"\n'
        "prompts.system\n  --- before\n  +++ after\n  @@ -1,4 +1,4 @@\n   one\n  -two\n  +2\n   three\n   "
    )


def test_a_prompt_that_is_new_or_gone_is_shown_whole() -> None:
    (gone,) = changed(prompts={"critic": "short"})
    assert gone.after is None
    assert gone.text is not None
    assert "-two" in gone.text
    (new,) = changed(prompts={**OLD.prompts, "plan": "a\nb"})
    assert (new.path, new.after) == ("prompts.plan", "a\nb")


def test_texts_without_end_are_not_compared_line_by_line() -> None:
    (found,) = changed(prompts={**OLD.prompts, "system": "x\n" * MOST_LINES})
    assert found.text == "@@ 4 lines were replaced by 5,001 @@"


def test_differences_are_json() -> None:
    (found,) = changed(high_stakes=True)
    assert msgspec.json.decode(msgspec.json.encode(found)) == {
        "path": "high_stakes",
        "before": False,
        "after": True,
        "text": None,
    }


TEXT = st.text(st.characters(codec="utf-8"), max_size=6)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "prompts": st.dictionaries(TEXT, TEXT, max_size=3),
        "parameters": st.dictionaries(TEXT, st.booleans() | st.integers(-3, 3) | TEXT, max_size=3),
        "models": st.lists(st.sampled_from(["a", "b", "c"]), max_size=4).map(tuple),
        "tools": st.none() | st.lists(TEXT, max_size=3).map(tuple),
        "note": TEXT,
        "high_stakes": st.booleans(),
    },
)


@given(one=FIELDS, other=FIELDS)
def test_there_is_a_difference_exactly_when_the_digests_differ(
    one: Mapping[str, object], other: Mapping[str, object]
) -> None:
    old, new = (msgspec.structs.replace(OLD, **fields) for fields in (one, other))
    forth, back = diff(old, new), diff(new, old)
    assert (forth == []) == (old.digest == new.digest)
    assert (back == []) == (forth == [])
    assert all(msgspec.json.encode(c.before) != msgspec.json.encode(c.after) for c in forth)
    assert rendered(forth)
