"""One message becomes a pattern that matches its kind and not everything."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, strategies as st

from burnish.errors import InvalidValue
from burnish.learn.errors import shape as shapes
from burnish.learn.errors.engines import compiled
from burnish.learn.errors.matcher import built
from burnish.learn.errors.message import category_of, error_lines, error_type
from burnish.learn.errors.pattern import ErrorPattern, filled
from burnish.learn.errors.templating import Draft, draft, generalised, signature

SHAPES = {
    "NameError: name 'foo' is not defined": "NameError: name '‹name›' is not defined",
    'relation "users" does not exist': 'relation "‹text›" does not exist',
    "cannot find `total` in this scope": "cannot find `‹code›` in this scope",
    "could not open /srv/app/data.csv for reading": "could not open ‹path› for reading",
    r"could not open C:\app\data.csv for reading": "could not open ‹path› for reading",
    "could not fetch https://example.com/a?b=1 today": "could not fetch ‹url› today",
    "mail to bob@example.com was rejected": "mail to ‹email› was rejected",
    "job 123e4567-e89b-12d3-a456-426614174000 was cancelled": "job ‹uuid› was cancelled",
    "lease expired at 2026-03-01T12:00:00Z on this node": "lease expired at ‹time› on this node",
    "connection refused by 10.0.0.7:5432 again": "connection refused by ‹address› again",
    "load_config() needs a folder": "‹call› needs a folder",
    "order #W5362037 cannot be cancelled": "order ‹id› cannot be cancelled",
    "total price is 120.5, but paid 99": "total price is ‹num›, but paid ‹num›",
    "upload took 350 ms too long": "upload took ‹num› too long",
}
"""One for each of the twelve masks, quotes counted three times."""


def drafted(message: str, fix: str = "do something") -> Draft:
    return draft(message, fix)


def pattern_of(made: Draft) -> ErrorPattern:
    return ErrorPattern(
        id="1",
        tenant="t",
        key="k",
        name="n",
        category="runtime",
        template=made.template,
        shape=made.shown,
        literal=made.literal,
        fix_type="replace",
        fix_template=made.fix_template,
        confidence=0.7,
    )


@pytest.mark.parametrize(("line", "shown"), SHAPES.items())
def test_what_varies_by_its_form_is_a_gap(line: str, shown: str) -> None:
    assert shapes.written(shapes.masked(line)) == shown


@pytest.mark.parametrize(
    "line",
    [
        "HTTP status 404 for the manifest",
        "error[E0425]: cannot find it",
        "exit code 137 from builder",
        "TS2304: no name",
    ],
)
def test_a_number_that_names_the_error_stays(line: str) -> None:
    assert shapes.written(shapes.masked(line)) == line


def test_an_apostrophe_opens_no_quote() -> None:
    assert shapes.written(shapes.masked("it can't reach what isn't there")) == "it can't reach what isn't there"


def test_the_last_line_that_names_an_error_is_learned() -> None:
    message = 'Traceback (most recent call last):\n  File "/a.py", line 3\nValueError: bad spoon size\n'
    assert drafted(message).shown == "ValueError: bad spoon size"


def test_noise_after_the_error_is_not_what_is_learned() -> None:
    message = "npm ERR! unable to reach the moon\nnpm ERR! A complete log of this run can be found in: /root/x.log"
    assert drafted(message).shown == "npm ERR! unable to reach the moon"


def test_a_pattern_begins_with_words() -> None:
    assert drafted("/srv/a.svelte:4:2 Can only bind to props").shown == "Can only bind to props"
    assert drafted("3 widgets were rejected upstream").template.startswith(r"\bwidgets")


@pytest.mark.parametrize(
    "message",
    [
        "",
        "   \n ",
        "Error: 500",
        "Error",
        "12345 67890",
        "failed",
        "TypeError",
        "error: '1'",
        "https://example.com/x",
        "!!!",
    ],
)
def test_what_would_match_nearly_every_error_is_refused(message: str) -> None:
    with pytest.raises(InvalidValue, match="nearly every error"):
        draft(message, "fix it")


def test_quoted_text_stays_where_the_line_says_nothing_without_it() -> None:
    made = drafted("Use `math.tau` instead of `6.28`")
    assert made.shown == "Use `math.tau` instead of `‹num›`"


def test_what_the_error_names_is_a_reference_in_the_fix() -> None:
    made = drafted("ModuleNotFoundError: No module named 'yaml'", "add yaml to the dependencies for $5")
    assert made.fix_template == "add $1 to the dependencies for $$5"
    assert filled(made.fix_template, ["toml"]) == "add toml to the dependencies for $5"


def test_an_identifier_that_recurs_in_the_fix_is_a_gap() -> None:
    assert drafted("variable user_id has no value yet", "set user_id first").fix_template == "set $1 first"


def test_a_second_example_turns_the_words_that_differ_into_gaps() -> None:
    one = drafted("Error: Reservation ABC was lost by Bob", "call Bob")
    other = drafted("Error: Reservation XYZ was lost by Eve", "call Eve")
    wider = generalised(one.shape, one.fix_template, other, "call Eve")
    assert wider is not None
    assert wider.shown == "Error: Reservation ‹word› was lost by ‹word›"
    assert wider.fix_template == "call $2"


def test_examples_whose_fixes_differ_are_not_joined() -> None:
    one = drafted("Error: Reservation ABC was lost by Bob", "restart")
    other = drafted("Error: Reservation XYZ was lost by Eve", "reinstall")
    assert generalised(one.shape, one.fix_template, other, "reinstall") is None


def test_messages_with_little_in_common_are_not_joined() -> None:
    one = drafted("Error: the disk is full of cats", "wait")
    other = drafted("Error: the printer wants more paper", "wait")
    assert generalised(one.shape, one.fix_template, other, "wait") is None


def test_a_signature_is_the_same_for_errors_of_a_kind() -> None:
    assert signature("boom\nKeyError: 'a'") == signature("KeyError: 'user_id'") == "KeyError: '‹name›'"
    assert signature("") == ""


@pytest.mark.parametrize(
    ("message", "kind", "category"),
    [
        ("json.decoder.JSONDecodeError: Expecting value", "JSONDecodeError", "runtime"),
        ("ModuleNotFoundError: No module named 'x'", "ModuleNotFoundError", "import"),
        ("SyntaxError: invalid syntax", "SyntaxError", "syntax"),
        ("a.ts(1,2): error TS2322: Type 'a' is not assignable to type 'b'", "TS2322", "type"),
        ("Error: connect ECONNREFUSED 127.0.0.1:1", "ECONNREFUSED", "runtime"),
        ("a.py:1:1: F401 `os` imported but never used", "error", "import"),
        ("npm ERR! code 1", "error", "build"),
        ("would fail the code style check", "error", "style"),
        ("eslint: 'x' is bad", "error", "lint"),
    ],
)
def test_type_and_category_are_read_off_the_words(message: str, kind: str, category: str) -> None:
    assert error_type(message) == kind
    assert category_of(message) == category


WORDS = st.lists(
    st.one_of(
        st.sampled_from(
            ["connection", "rejected", "widget", "Error:", "'foo'", '"bar"', "`baz`", "/a/b.py", "12", "x_1"]
        ),
        st.text(max_size=12),
    ),
    min_size=1,
    max_size=30,
)
MESSAGES = st.one_of(WORDS.map(" ".join), WORDS.map("\n".join), st.text(max_size=200))


@given(message=MESSAGES, fix=st.one_of(st.text(min_size=1, max_size=60), WORDS.map(" ".join)))
def test_a_learned_pattern_matches_its_own_example_and_gives_its_own_fix(message: str, fix: str) -> None:
    try:
        made = draft(message, fix)
    except InvalidValue:
        return
    hits = built([pattern_of(made)]).search(message)
    assert len(hits) == 1
    assert filled(made.fix_template, made.captures) == fix.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


@given(one=WORDS, other=WORDS)
def test_a_wider_pattern_still_matches_both_examples(one: list[str], other: list[str]) -> None:
    prefix = "gateway rejected the upload of"
    try:
        first, second = draft(f"{prefix} {' '.join(one)}", "retry"), draft(f"{prefix} {' '.join(other)}", "retry")
    except InvalidValue:
        return
    wider = generalised(first.shape, first.fix_template, second, "retry")
    if wider is not None:
        regex = compiled(wider.template)
        assert regex.search(second.line) is not None
        assert regex.search(first.line) is not None


@given(st.text(max_size=300))
def test_a_shape_reads_back_as_it_was_written(line: str) -> None:
    shape = shapes.masked(line.replace("\n", " "))
    assert shapes.written(shapes.parsed(shapes.written(shape))) == shapes.written(shape)


@pytest.mark.parametrize(
    "line",
    ["a" * 1_000_000, "'" * 500_000, "a.a.a." * 150_000 + "@", "/" * 900_000, "1,1." * 250_000, "((((" * 200_000],
)
def test_learning_from_a_hostile_message_takes_no_time(line: str) -> None:
    began = time.perf_counter()
    for message in (line, f"ValueError: {line}", "\n".join([line[:5_000]] * 200)):
        list(error_lines(message))
        try:
            draft(message, "no")
        except InvalidValue:
            continue
    assert time.perf_counter() - began < 3.0
