"""A file of golden items is read line by line, and what is wrong with it is said with its line."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, strategies as st

from burnish.curate.canonical import as_written, canonical
from burnish.curate.fingerprints import fingerprint
from burnish.curate.goldens import GoldenItem, read_lines
from burnish.errors import InvalidValue

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc"), inner, max_size=3),
    max_leaves=8,
)


def test_lines_are_items_and_empty_ones_are_nothing() -> None:
    found = read_lines(['{"id": "a", "task": "Do"}', "  ", '{"id": "b", "expected": [1]}'], "f.jsonl")
    assert found == [GoldenItem(id="a", task="Do"), GoldenItem(id="b", expected=[1])]


@pytest.mark.parametrize("bad", ["{", "[]", '{"id": 3}', '{"task": "no id"}', '{"id": "a", "tsk": 1}', "[" * 100_000])
def test_a_line_that_is_no_item_is_refused_with_its_number(bad: str) -> None:
    with pytest.raises(InvalidValue, match=r"f.jsonl, line 2.*one item a line"):
        read_lines(['{"id": "a"}', bad], "f.jsonl")


@given(JSON)
def test_the_same_content_has_the_same_bytes_after_a_journey_through_json(value: object) -> None:
    content = canonical("value", value)
    assert canonical("value", as_written(msgspec.json.decode(content))) == content


@given(st.text(st.characters(codec="utf-8")), JSON)
def test_a_fingerprint_does_not_depend_on_case_or_space(task: str, inputs: object) -> None:
    mark = fingerprint(task, inputs)
    assert fingerprint(f"  {task}\n", inputs) == mark
    assert fingerprint(task + "x", inputs) != mark
    assert fingerprint(task, [inputs]) != mark
