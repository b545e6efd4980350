"""The error library on both databases: what is learned survives, is shared by processes, and is counted exactly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import pytest
from sqlalchemy import Connection, func, select

from burnish.clock import SystemClock
from burnish.errors import InvalidValue, NotFound, StoreUnavailable
from burnish.ids import UuidV7Source
from burnish.learn.errors.builtin import built_in
from burnish.learn.errors.library import ErrorLibrary
from burnish.learn.errors.pattern import ErrorPattern
from burnish.store.opening import open_store
from burnish.store.schema.learn import error_patterns
from burnish.store.store import Store

ERROR = "LaunchError: engine 'left' did not ignite after 30 s"
FIX = "check the fuel line of left"
KEY_ERROR = "builtin:py-key-error"
FIRST = "Error: Reservation ABC was lost by the desk"
SECOND = "Error: Reservation XYZ was lost by the desk"

PRELUDE = """
import os, signal, sys, time
from burnish.clock import SystemClock
from burnish.ids import UuidV7Source
from burnish.learn.errors.library import ErrorLibrary
from burnish.learn.errors.pattern import ErrorPattern
from burnish.store.opening import open_store

url, number = sys.argv[1], int(sys.argv[2])
clock = SystemClock()
library = ErrorLibrary(open_store(url), tenant="t", clock=clock, ids=UuidV7Source(clock))
print("ready", flush=True)
sys.stdin.read()
"""
WORKER = (
    PRELUDE
    + """
words = ["alpha", "bravo", "charlie", "delta", "echo"]
for step in range(number):
    library.learn(f"LaunchError: engine 'e{step}' did not ignite after {step} s", f"check the fuel line of e{step}")
    library.learn(f"DockError: the {words[step % 5]} clamp would not open", "open it by hand")
    library.record_match("builtin:py-key-error", worked=step % 2 == 0)
"""
)
KILLED = (
    PRELUDE
    + """
pattern = library.learn("LaunchError: engine 'left' did not ignite after 30 s", "check the fuel line of left")
library.record_match(pattern.id, worked=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
)


def library_of(store: Store, **options: object) -> ErrorLibrary:
    clock = SystemClock()
    return ErrorLibrary(store, tenant="t", clock=clock, ids=UuidV7Source(clock), **options)  # type: ignore[arg-type]


@pytest.fixture
def library(store: Store) -> ErrorLibrary:
    return library_of(store)


@contextmanager
def processes(script: str, url: str, number: int, count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Start processes and let them go at once."""
    command = [sys.executable, "-c", script, url, str(number)]
    with ExitStack() as stack:
        started = [
            stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            for _ in range(count)
        ]
        for process in started:
            assert process.stdout is not None
            process.stdout.readline()
        for process in started:
            assert process.stdin is not None
            process.stdin.close()
        yield started


def masking(text: str) -> str:
    return text.replace("s3cret", "[secret]")


def test_what_was_learned_is_matched_with_captures_filled_in(library: ErrorLibrary) -> None:
    pattern = library.learn(ERROR, FIX, file="src/engine.py")
    (fix,) = library.match("boot\nLaunchError: engine 'right' did not ignite after 5 s\nbye", "lib/other.py")
    assert fix.fix == "check the fuel line of right"
    assert fix.captures == ("right", "5 s")
    assert (fix.pattern_id, fix.scope, fix.uses) == (pattern.id, "tenant", 0)
    assert fix.success == pytest.approx(0.7)
    assert library.match("LaunchError: engine 'right' did not ignite after 5 s", "lib/other.ts") == []


def test_a_new_library_on_the_same_store_knows_it(store: Store, library: ErrorLibrary) -> None:
    pattern = library.learn(ERROR, FIX)
    library.record_match(pattern.id, worked=True)
    again = library_of(store)
    (fix,) = again.match(ERROR)
    assert (fix.pattern_id, fix.uses) == (pattern.id, 1)
    assert again.top(1_000) == library.top(1_000)


def test_learning_the_same_again_confirms_it(library: ErrorLibrary) -> None:
    first = library.learn(ERROR, FIX)
    again = library.learn("LaunchError: engine 'rear' did not ignite after 1 s", "check the fuel line of rear")
    assert (again.id, again.learned) == (first.id, 2)
    assert again.success > first.success


def test_another_fix_for_the_same_error_stands_beside_it(library: ErrorLibrary) -> None:
    one, other = library.learn(ERROR, FIX), library.learn(ERROR, "replace the igniter")
    assert one.id != other.id
    library.record_match(other.id, worked=True)
    assert [fix.fix for fix in library.match(ERROR)] == ["replace the igniter", FIX]
    assert [fix.fix for fix in library.match(ERROR, limit=1)] == ["replace the igniter"]
    assert library.match(ERROR, limit=0) == []


def test_a_second_example_widens_the_pattern_in_place(store: Store, library: ErrorLibrary) -> None:
    first = library.learn(FIRST, "ask the desk")
    wider = library.learn(SECOND, "ask the desk")
    assert wider.id == first.id
    assert wider.shape == wider.name.removeprefix("Learned: ") == "Error: Reservation ‹word› was lost by the desk"
    assert [fix.captures for fix in library.match("Error: Reservation QQQ was lost by the desk")] == [("QQQ",)]
    assert len(library_of(store).match(FIRST)) == 1


def test_projects_see_their_own_and_what_is_everyones(library: ErrorLibrary) -> None:
    library.learn(ERROR, "of a", project="a")
    library.learn(ERROR, "of everyone")
    assert {fix.fix for fix in library.match(ERROR, project="a")} == {"of a", "of everyone"}
    assert [fix.fix for fix in library.match(ERROR, project="b")] == ["of everyone"]
    assert library.match(ERROR, project="a")[0].scope == "project"


def test_a_tenant_sees_nothing_of_another(store: Store, library: ErrorLibrary) -> None:
    library.learn(ERROR, FIX)
    clock = SystemClock()
    other = ErrorLibrary(store, tenant="other", clock=clock, ids=UuidV7Source(clock), redact=masking, share_from=2)
    assert other.match(ERROR) == []


def test_a_fix_of_three_projects_is_seen_by_a_fourth_redacted(store: Store) -> None:
    library = library_of(store, redact=masking)
    for number, project in enumerate(["a", "b", "a", "c"]):
        assert library.match(ERROR, project="d") == []
        pattern = library.learn(ERROR, "use s3cret", project=project, explanation="s3cret", name="s3cret", source="s3")
        if number == 0:
            library.record_match(pattern.id, worked=True)
    (fix,) = library.match(ERROR, project="d")
    assert (fix.fix, fix.explanation, fix.name) == ("use [secret]", "[secret]", "[secret]")
    assert (fix.scope, fix.projects, fix.uses) == ("shared", 3, 1)
    assert [fix.fix for fix in library.match(ERROR, project="a")] == ["use s3cret"]
    assert library_of(store).match(ERROR, project="d") == []


def test_a_shared_fix_that_failed_here_counts_here_only(store: Store) -> None:
    library = library_of(store, redact=masking)
    for project in "abc":
        library.learn(ERROR, "use s3cret", project=project)
    (fix,) = library.match(ERROR, project="d")
    for _ in range(3):
        own = library.record_match(fix.pattern_id, worked=False, project="d")
    assert (own.project, own.failures, own.fix_template) == ("d", 3, "use [secret]")
    assert library.prune() == 1
    assert library.match(ERROR, project="d") == []
    assert [fix.uses for fix in library.match(ERROR, project="a")] == [0]


def test_sharing_with_fewer_than_two_projects_is_refused(store: Store) -> None:
    with pytest.raises(InvalidValue, match="share_from"):
        library_of(store, redact=masking, share_from=1)


def test_built_in_patterns_are_counted_a_tenant_and_never_pruned(store: Store, library: ErrorLibrary) -> None:
    for _ in range(5):
        library.record_match(KEY_ERROR, worked=False)
    assert library.prune() == 0
    for known in (library, library_of(store)):
        (fix,) = known.match("KeyError: 'x'")
        assert (fix.pattern_id, fix.uses, fix.scope) == (KEY_ERROR, 5, "built_in")
        assert fix.success < 0.5
    assert len(library.patterns()) == len(built_in())


@pytest.mark.parametrize(
    ("worked", "failed", "stays"), [(0, 2, True), (0, 3, False), (2, 3, False), (3, 3, True), (9, 4, True)]
)
def test_what_fails_three_times_and_mostly_is_pruned(store: Store, *, worked: int, failed: int, stays: bool) -> None:
    library = library_of(store)
    pattern = library.learn(ERROR, FIX)
    for _ in range(worked):
        library.record_match(pattern.id, worked=True)
    for _ in range(failed):
        library.record_match(pattern.id, worked=False)
    assert library.prune() == int(not stays)
    assert bool(library.match(ERROR)) is bool(library_of(store).match(ERROR)) is stays
    assert library.learn(ERROR, FIX).active is stays


def test_a_pattern_by_hand_is_checked_and_matched(library: ErrorLibrary) -> None:
    def add(name: str) -> ErrorPattern:
        template, fix = r"valve (\w+) stuck open", "oil valve $1"
        return library.add(template, fix, category="runtime", name=name, file_pattern="*.py")

    kept = add("Stuck valve")
    assert library.match("valve v3 stuck open", "a.py")[0].fix == "oil valve v3"
    again = add("Again")
    assert (again.id, again.name) == (kept.id, "Stuck valve")
    with pytest.raises(InvalidValue, match="RE2 refuses"):
        library.add(r"(?=valve) stuck for good", "oil", category="runtime", name="x")
    with pytest.raises(InvalidValue, match="confidence"):
        library.add("valve stuck", "oil", category="runtime", name="x", confidence=2)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"error": "Error: 1"}, "error"),
        ({"fix": " "}, "fix"),
        ({"fix": "x" * 30_000}, "fix"),
        ({"fix_type": "pray"}, "fix_type"),
        ({"category": "weather"}, "category"),
        ({"project": ""}, "project"),
        ({"project": "ü" * 300}, "project"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name(library: ErrorLibrary, change: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidValue, match=field):
        library.learn(**{"error": ERROR, "fix": FIX, **change})
    assert library.match(ERROR) == []


def test_hostile_text_is_kept_and_matched(library: ErrorLibrary) -> None:
    error = "LaunchError: (a+)+$ \\ \0 \ud800 ü ‹word› '; DROP TABLE runs; -- exploded"
    pattern = library.learn(error, "do \0 \ud800 $1 %s {}", explanation="\0", name="\0\ud800", source="\ud800")
    (fix,) = library.match(error)
    assert fix.pattern_id == pattern.id
    assert fix.fix == "do \ufffd ? $1 %s {}"


def test_an_id_that_nobody_has_is_named(library: ErrorLibrary) -> None:
    with pytest.raises(NotFound, match="nobody"):
        library.record_match("nobody", worked=True)


def test_another_process_sees_a_new_pattern_within_a_second(store_url: str, store: Store) -> None:
    elsewhere = open_store(store_url)
    theirs, ours = library_of(elsewhere), library_of(store)
    assert theirs.match(ERROR) == []
    ours.learn(ERROR, FIX)
    assert eventually(lambda: bool(theirs.match(ERROR))) < 1.0
    ours.record_match(ours.match(ERROR)[0].pattern_id, worked=True)
    assert eventually(lambda: theirs.match(ERROR)[0].uses == 1) < 1.0
    elsewhere.close()


def test_only_rows_that_changed_are_read_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from burnish.learn.errors import ledger

    ours, theirs = library_of(store), library_of(store)
    first = ours.learn(ERROR, FIX)
    assert theirs.refresh()
    second = ours.learn("DockError: clamp would not open", "open it")
    asked: list[object] = []
    load = ledger.load

    def noted(connection: Connection, tenant: str, ids: Sequence[str] | None = None) -> list[ErrorPattern]:
        asked.append(ids)
        return load(connection, tenant, ids)

    monkeypatch.setattr(ledger, "load", noted)
    assert theirs.refresh()
    assert asked == [[second.id]]
    assert not theirs.refresh()
    assert {pattern.id for pattern in theirs.patterns()} >= {first.id, second.id}


def test_matching_goes_on_while_the_store_is_away(library: ErrorLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    library.learn(ERROR, FIX)

    def away() -> str:
        raise StoreUnavailable("x", "gone")

    monkeypatch.setattr(library._store, "revision", away)
    library._next_look = 0.0
    assert [fix.fix for fix in library.match(ERROR)] == [FIX]
    with pytest.raises(StoreUnavailable):
        library.refresh()


def test_processes_that_learn_at_once_lose_nothing(store_url: str, store: Store) -> None:
    number, count = 30, 3
    with processes(WORKER, store_url, number, count) as started:
        assert [process.wait(120) for process in started] == [0] * count
    columns = (func.sum(error_patterns.c.learned), func.sum(error_patterns.c.successes + error_patterns.c.failures))
    with store.read() as connection:
        learned, used = connection.execute(select(*columns)).one()
    assert int(learned) == 2 * number * count
    assert int(used) == number * count
    library = library_of(store)
    assert library.match("LaunchError: engine 'e' did not ignite after 7 s")[0].fix == "check the fuel line of e"
    assert library.match("DockError: the foxtrot clamp would not open")[0].fix == "open it by hand"
    assert library.record_match(KEY_ERROR, worked=True).successes == number * count // 2 + 1


def test_a_pattern_that_another_process_widened_meanwhile_is_confirmed_once(store: Store) -> None:
    ours, theirs = library_of(store, refresh_seconds=1e9), library_of(store)
    first = ours.learn(FIRST, "ask the desk")
    theirs.learn(SECOND, "ask the desk")
    ours._revision = store.revision()  # as if we had looked just before they wrote
    again = ours.learn(FIRST, "ask the desk")
    assert (again.id, again.learned, len(library_of(store).top(1_000))) == (first.id, 3, len(built_in()) + 1)
    ours._memory.rows[first.id] = first
    assert ours.record_match(first.id, worked=True).successes == 1


def test_what_was_learned_before_a_kill_is_there(store_url: str, store: Store) -> None:
    with processes(KILLED, store_url, 0, 1) as (process,):
        assert process.wait(60) == -signal.SIGKILL
    (fix,) = library_of(store).match(ERROR)
    assert (fix.fix, fix.uses) == (FIX, 1)


def test_threads_that_learn_and_match_at_once_agree(store: Store) -> None:
    library = library_of(store, refresh_seconds=0.0)
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for step in range(15):
                library.learn(f"LaunchError: pump p{number} lost pressure in tank {number}{step}", "close the tank")
                assert library.match(f"LaunchError: pump p{number} lost pressure in tank 1")
        except BaseException as error:  # noqa: BLE001 - whatever a thread dies of is a failure
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sum(pattern.learned for pattern in library_of(store).patterns()) == 60


def test_many_new_patterns_are_merged_in_the_background_and_stay_found(tmp_path: object) -> None:
    from burnish.store import migrate

    store = open_store(str(tmp_path))
    migrate.upgrade(store)
    library = library_of(store, refresh_seconds=1e9)
    names = [
        f"{a}{b}" for a in "abcdefghijklmnopq" for b in ("xylo", "marim", "banj", "cell", "obo", "tub", "harp") * 3
    ]
    for number, name in enumerate(names):
        library.add(f"{name}{number} refused to play", "tune it", category="runtime", name=name)
    library.settle()
    assert not library._memory.matcher.merge_due
    assert all(library.match(f"{name}{number} refused to play") for number, name in enumerate(names))
    store.close()


def test_a_forked_child_learns_with_locks_of_its_own(store: Store) -> None:
    library = library_of(store)
    library.learn(ERROR, FIX)
    library._lock.acquire()
    library._memory._lock.acquire()
    child = os.fork()
    if child == 0:
        store.forked()
        library.forked()
        library._ids.reseed()  # type: ignore[attr-defined]  # what the loop does
        os._exit(0 if library.learn(ERROR, FIX).learned == 2 else 1)
    library._lock.release()
    library._memory._lock.release()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert eventually(lambda: library.learn(ERROR, FIX).learned == 3) < 1.0


def eventually(happened: Callable[[], bool]) -> float:
    """Return the seconds until something is so; two at most."""
    began = time.monotonic()
    while not happened() and time.monotonic() - began < 2.0:
        time.sleep(0.01)
    return time.monotonic() - began
