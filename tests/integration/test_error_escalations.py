"""What it took to resolve errors: the history says where to start, and projects share what several found."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from burnish.clock import SystemClock
from burnish.errors import InvalidValue
from burnish.ids import UuidV7Source
from burnish.learn.errors.escalation import LEVELS, Escalations, LevelRecord, chosen
from burnish.learn.errors.sharing import anonymous
from burnish.store.store import Store

ERROR = "KeyError: 'user_id'"


def redact(text: str) -> str:
    return text.replace("bob", "[name]").replace("eve", "[name]")


@pytest.fixture
def history(store: Store) -> Escalations:
    clock = SystemClock()
    return Escalations(store, tenant="t", clock=clock, ids=UuidV7Source(clock))


def test_attempts_are_kept_and_found_by_project_and_by_kind_of_error(history: Escalations) -> None:
    first = history.record(ERROR, level=0, resolved=False, project="a", run_id="r1")
    second = history.record("KeyError: 'name'", level=1, resolved=True, project="b", fix="use get")
    other = history.record("IndexError: list index out of range", level=2, resolved=True)
    assert history.history() == [other, second, first]
    assert history.history(error="KeyError: 'x'") == [second, first]
    assert history.history(error="KeyError: 'x'", project="a") == [first]
    assert history.history(limit=1) == [other]
    assert (first.error_type, first.signature) == ("KeyError", "KeyError: '‹name›'")


def test_levels_say_how_often_each_resolved(history: Escalations) -> None:
    for resolved in (True, False, True):
        history.record(ERROR, level=1, resolved=resolved, project="a")
    history.record(ERROR, level=3, resolved=True, project="b")
    assert history.levels("KeyError: 'q'") == [
        LevelRecord(level=1, tries=3, resolved=2),
        LevelRecord(level=3, tries=1, resolved=1),
    ]
    assert history.levels("IndexError: list index out of range") == []


def test_an_error_starts_at_the_known_fix_and_climbs_with_each_failure(history: Escalations) -> None:
    for level in range(len(LEVELS)):
        assert history.next_level(ERROR, project="a") == level
        history.record(ERROR, level=level, resolved=level == len(LEVELS) - 1, project="a")
    assert history.next_level("IndexError: list index out of range", project="a") == 0


def test_a_level_that_rarely_resolves_an_error_is_skipped(history: Escalations) -> None:
    for _ in range(4):
        history.record(ERROR, level=0, resolved=False, project="a")
    history.record(ERROR, level=1, resolved=True, project="a")
    assert history.next_level(ERROR, project="b") == 1


@given(
    st.dictionaries(st.integers(0, 9), st.tuples(st.integers(0, 9), st.integers(0, 9))),
    st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=10),
)
def test_the_next_level_is_above_all_that_failed_since_the_last_success(
    known: dict[int, tuple[int, int]], recent: list[tuple[int, bool]]
) -> None:
    records = {k: LevelRecord(level=k, tries=tries + won, resolved=won) for k, (tries, won) in known.items()}
    level = chosen(records, recent)
    assert 0 <= level < len(LEVELS)
    since = [tried for tried, resolved in recent[: next((i for i, r in enumerate(recent) if r[1]), len(recent))]]
    assert level > max(since, default=-1) or level == len(LEVELS) - 1


def test_a_fix_of_three_projects_is_shared_redacted_with_frequency_and_level(history: Escalations) -> None:
    for project, name, level in [("a", "bob", 1), ("b", "eve", 2), ("c", "bob", 2), ("c", "bob", 3)]:
        assert history.shared_fixes(redact=redact) == [] or project == "c"
        history.record(ERROR, level=level, resolved=True, project=project, fix=f"ask {name}")
    (fix,) = history.shared_fixes(redact=redact)
    assert (fix.fix, fix.signature, fix.error_type) == ("ask [name]", "KeyError: '‹name›'", "KeyError")
    assert (fix.projects, fix.frequency, fix.level) == (3, 4, 2)
    assert history.shared_fixes(redact=redact, share_from=4) == []
    assert history.shared_fixes(redact=redact, limit=0) == []


def test_what_failed_and_what_one_project_has_is_not_shared(history: Escalations, store: Store) -> None:
    for project in "abc":
        history.record(ERROR, level=0, resolved=False, project=project, fix="pray")
        history.record(ERROR, level=0, resolved=True, project=project)
        history.record(ERROR, level=0, resolved=True, project="a", fix="mine")
        history.record(ERROR, level=0, resolved=True, fix="of no project")
    clock = SystemClock()
    other = Escalations(store, tenant="other", clock=clock, ids=UuidV7Source(clock))
    assert history.shared_fixes(redact=redact, share_from=2) == other.shared_fixes(redact=redact) == []


def test_sharing_needs_something_that_redacts(history: Escalations) -> None:
    with pytest.raises(TypeError, match="redact"):
        history.shared_fixes()  # type: ignore[call-arg]  # that is the point
    with pytest.raises(InvalidValue, match="share_from"):
        history.shared_fixes(redact=redact, share_from=1)


def test_a_redaction_that_fails_lets_nothing_out(history: Escalations) -> None:
    for project in "abc":
        history.record(ERROR, level=0, resolved=True, project=project, fix="use get")

    def broken(_text: str) -> str:
        raise RuntimeError("no rules")

    with pytest.raises(RuntimeError, match="no rules"):
        history.shared_fixes(redact=broken)


def test_the_bluntest_redaction_masks_all_that_varies() -> None:
    text = "set key to sk-9f8a7b6c, mail bob@example.com\nthen edit /home/bob/a.py at 10.0.0.1 for 'Bob'"
    assert anonymous(text) == "set key to ‹id›, mail ‹email›\nthen edit ‹path› at ‹address› for '‹name›'"


@pytest.mark.parametrize(
    ("change", "field"), [({"level": -1}, "level"), ({"level": 10}, "level"), ({"fix": "x" * 30_000}, "fix")]
)
def test_what_cannot_be_kept_is_refused(history: Escalations, change: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidValue, match=field):
        history.record(ERROR, **{"level": 0, "resolved": True, **change})  # type: ignore[arg-type]  # wrong values are the point
    assert history.history() == []


def test_hostile_text_is_kept(history: Escalations) -> None:
    kept = history.record("\0\ud800Error: 'x' \U0001f4a5" * 10_000, level=0, resolved=True, fix="\0\ud800", project="ü")
    assert history.history() == [kept]
