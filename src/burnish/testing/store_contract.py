"""What every ledger must do, whatever database it is on: one suite, run by each backend.

Subclass `StoreContract` in a test module and provide two fixtures: `store`, an empty ledger with its tables, and
`another`, a second `Store` on the same database, as another process would have it.

    class TestMyBackend(StoreContract): ...
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone

import msgspec
from sqlalchemy import Connection, Table, func, select

from burnish.capture import checks, ledger as capture, records
from burnish.capture.records import Bundle, CallRecord, RunRecord
from burnish.ids import UuidV7Source
from burnish.learn import health, pacing, performance
from burnish.score.ledger import LossRecord, latest
from burnish.store.rows import accumulator, inserter
from burnish.store.schema import capture as tables
from burnish.store.schema.learn import model_performance
from burnish.store.schema.score import gates, run_losses
from burnish.store.store import Store
from burnish.testing.clock import FakeClock

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TABLES: dict[type[msgspec.Struct], Table] = {
    records.RunRecord: tables.runs,
    records.CallRecord: tables.calls,
    records.DecisionRecord: tables.decisions,
    records.GateRecord: gates,
    records.SignalRecord: tables.outcome_signals,
    records.ConversationRecord: tables.conversations,
    records.PoolEventRecord: tables.pool_events,
    LossRecord: run_losses,
}
TEXTS = (
    "plain",
    "Grüße, 世界, עולם, नमस्ते",
    "👩‍👩‍👧‍👦 🏳️‍🌈 \U0010ffff",
    "quote ' \" \\ ; -- % %s $1 :name ?",
    "tab\tnewline\r\n\x01\x7f",
    "x" * 1_000_000,
)
NUMBERS = (0.0, 5e-324, 2.2250738585072014e-308, 0.1, 1 / 3, 1e16 + 2, 1.7976931348623157e308)
_new_id = UuidV7Source(FakeClock(NOON), seed=0)


def a_run(**changes: object) -> RunRecord:
    """Return a run with few facts, or with those given."""
    identity = _new_id()
    facts: dict[str, object] = {
        "id": identity,
        "created_at": NOON,
        "tenant": "default",
        "agent": "coder",
        "root_id": identity,
        "task_type": "code",
        "started_at": NOON,
        "duration_s": 1.5,
        "process_id": _new_id(),
    }
    return RunRecord(**(facts | changes))  # type: ignore[arg-type]  # the tests hand over what fits the fields


def keep(store: Store, *runs: RunRecord) -> None:
    """Write runs in one transaction."""
    with store.write() as connection:
        capture.write(connection, store.kind, [Bundle(run=run) for run in runs])


def kept(store: Store, *ids: str) -> list[RunRecord]:
    """Return the runs with these ids, in their order."""
    with store.read() as connection:
        found = capture.runs_by_id(connection, ids)
    return [found[identity] for identity in ids if identity in found]


def run_count(connection: Connection) -> int:
    """Return how many runs the ledger holds."""
    return int(connection.execute(select(func.count()).select_from(tables.runs)).scalar_one())


def add_to_cell(store: Store, times: int) -> None:
    """Add one observation of quality 1 to the same counter row, in as many transactions as asked for."""
    for _ in range(times):
        row = (_new_id(), NOON, "default", "coder", "code", "m", 0, 1, 1.0, 1.0, 0, 0.0, 0, 0.0, 0, 0.0, 0)
        with store.write() as connection:
            accumulator(model_performance, store.kind)(connection, [row])


def observed(store: Store) -> list[tuple[int, float]]:
    """Return (count, sum) of every counter row."""
    with store.read() as connection:
        return [(cell.n_quality, cell.sum_quality) for cell in performance.cells_of(connection, "default", "coder")]


@contextmanager
def _fails_with(kind: type[Exception]) -> Iterator[None]:
    try:
        yield
    except kind:
        return
    raise AssertionError(f"{kind.__name__} was not raised")


class StoreContract:
    """The suite. Each test gets an empty `store`; some get `another` on the same database."""

    def test_a_write_that_raises_leaves_nothing(self, store: Store) -> None:
        """All of a transaction is there, or nothing."""
        run = a_run()
        with _fails_with(ZeroDivisionError), store.write() as connection:
            capture.write(connection, store.kind, [Bundle(run=run, calls=[_call(run)])])
            assert run_count(connection) // 0
        with store.read() as connection:
            assert run_count(connection) == 0
            assert capture.calls_of(connection, [run.id]) == []

    def test_a_row_that_the_database_refuses_undoes_its_whole_batch(self, store: Store) -> None:
        """A broken check takes the rows before it along."""
        with _fails_with(Exception):
            keep(store, a_run(), a_run(quality=7.0))
        with store.read() as connection:
            assert run_count(connection) == 0

    def test_what_is_committed_is_seen_by_the_others_at_once(self, store: Store, another: Store) -> None:
        """No cache stands between two processes."""
        keep(store, run := a_run())
        assert kept(another, run.id) == [run]

    def test_a_reader_keeps_one_snapshot_while_others_commit(self, store: Store, another: Store) -> None:
        """Two queries of one read transaction see the same state."""
        keep(store, a_run())
        with another.read() as reader:
            before = run_count(reader)
            keep(store, a_run())
            assert (before, run_count(reader)) == (1, 1)
        with another.read() as reader:
            assert run_count(reader) == 2

    def test_a_reader_neither_waits_for_a_writer_nor_sees_its_unfinished_work(
        self, store: Store, another: Store
    ) -> None:
        """Reading goes on while a transaction is open."""
        with store.write() as writer:
            capture.write(writer, store.kind, [Bundle(run=a_run())])
            with another.read() as reader:
                assert run_count(reader) == 0

    def test_a_closed_store_connects_again(self, store: Store) -> None:
        """Closing lets go of connections, not of the store."""
        keep(store, run := a_run())
        store.close()
        assert kept(store, run.id) == [run]

    def test_counters_lose_nothing_to_concurrent_threads(self, store: Store, another: Store) -> None:
        """Four threads over two pools add 40 to one row."""
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(add_to_cell, (store, another, store, another), (10, 10, 10, 10)))
        assert observed(store) == [(40, 40.0)]

    def test_writing_twice_changes_nothing(self, store: Store, another: Store) -> None:
        """A retry, a spool drained by two, a batch that repeats itself: the first version of a row stands."""
        run = a_run(task="first")
        batch = [Bundle(run=run, calls=[_call(run)])]
        with store.write() as connection:
            assert [b.run for b in capture.write(connection, store.kind, batch * 2).new] == [run]
        again = [Bundle(run=msgspec.structs.replace(run, task="second"), calls=batch[0].calls)]
        with another.write() as connection:
            assert list(capture.write(connection, store.kind, again).new) == []
        with store.read() as connection:
            assert len(capture.calls_of(connection, [run.id])) == 1
        assert kept(store, run.id) == [run]

    def test_the_revision_moves_with_every_commit_of_another(self, store: Store, another: Store) -> None:
        """Each commit is noticed, also by one who has looked before."""
        seen = [store.revision()]
        for _ in range(3):
            keep(another, a_run())
            seen.append(store.revision())
        assert len(set(seen)) == len(seen)

    def test_the_revision_stands_still_while_nothing_is_committed(self, store: Store, another: Store) -> None:
        """Reading is no change."""
        before = store.revision()
        assert kept(another, "nothing") == kept(store, "nothing") == []
        assert [store.revision() for _ in range(3)] == [before] * 3

    def test_every_record_has_the_columns_of_its_table_in_order(self, store: Store) -> None:
        """Rows are written by position."""
        for record, table in TABLES.items():
            assert list(record.__struct_fields__) == list(table.columns.keys()), table.name
            assert inserter(table, store.kind).columns == record.__struct_fields__

    def test_times_are_kept_to_the_microsecond(self, store: Store) -> None:
        """Before 1970, at both ends of the calendar, and around a change of day."""
        moments = [
            datetime(1, 1, 1, tzinfo=UTC),
            datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
            datetime(1970, 1, 1, tzinfo=UTC),
            datetime(2026, 2, 28, 23, 59, 59, 1, tzinfo=UTC),
            datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        ]
        runs = [a_run(started_at=moment) for moment in moments]
        keep(store, *runs)
        found = [run.started_at for run in kept(store, *(run.id for run in runs))]
        assert found == moments
        assert {moment.utcoffset() for moment in found} == {timedelta(0)}

    def test_times_of_other_zones_come_back_as_the_same_moment_in_utc(self, store: Store) -> None:
        """The door turns them into UTC."""
        local = datetime(2026, 3, 29, 2, 30, 0, 123_456, tzinfo=timezone(timedelta(hours=-11, minutes=-30)))
        keep(store, run := a_run(started_at=checks.moment("started_at", local, local)))
        (found,) = kept(store, run.id)
        assert found.started_at.isoformat() == "2026-03-29T14:00:00.123456+00:00"

    def test_texts_come_back_as_they_were(self, store: Store) -> None:
        """Every script, emoji, SQL's own characters, a million characters."""
        runs = [a_run(task=text, output=text) for text in TEXTS]
        keep(store, *runs)
        assert [(run.task, run.output) for run in kept(store, *(r.id for r in runs))] == [(t, t) for t in TEXTS]

    def test_numbers_come_back_as_they_were(self, store: Store) -> None:
        """The smallest and the largest, and counts past 32 bits."""
        runs = [a_run(cost_usd=number, prompt_tokens=2**53 - place) for place, number in enumerate(NUMBERS)]
        keep(store, *runs)
        assert kept(store, *(run.id for run in runs)) == runs

    def test_json_comes_back_as_it_was(self, store: Store) -> None:
        """Nested, empty, with every kind of value and awkward keys."""
        values: dict[str, object] = {
            "": "",
            "none": None,
            "true": True,
            "whole": 2**53,
            "real": 0.1,
            "list": [[], {}, [1, "a", None]],
            "nested": {"ключ": {"👍": [1.5, "%s"]}},
            'quote"\\': "\n",
        }
        run = a_run(features=values, extra={})
        keep(store, run)
        (found,) = kept(store, run.id)
        assert (found.features, found.extra) == (values, {})
        assert isinstance(found.features["whole"], int)

    def test_missing_values_stay_missing(self, store: Store) -> None:
        """None is neither 0 nor an empty text nor False."""
        run = a_run()
        keep(store, run, a_run(success=False, cost_usd=0.0, task="", user_accepted=False))
        (found,) = kept(store, run.id)
        assert (found.success, found.cost_usd, found.task, found.user_accepted) == (None, None, None, None)

    def test_pages_cover_every_run_once_newest_first(self, store: Store) -> None:
        """Also when runs arrive between two pages."""
        runs = [a_run() for _ in range(25)]
        keep(store, *runs)
        found: list[str] = []
        while page := _page(store, before=found[-1] if found else None):
            found.extend(page)
            keep(store, a_run())
        assert found == [run.id for run in reversed(runs)]

    def test_a_tenant_sees_only_its_own(self, store: Store) -> None:
        """Lists, look-ups by id or prefix, and what was learned."""
        mine, theirs = a_run(tenant="mine"), a_run(tenant="theirs")
        keep(store, mine, theirs)
        add_to_cell(store, 1)
        with store.read() as connection:
            assert [run.id for run in capture.list_runs(connection, tenant="mine")] == [mine.id]
            assert capture.find_runs(connection, theirs.id, tenant="mine") == []
            assert capture.find_runs(connection, theirs.id, tenant="theirs") == [theirs]
            assert performance.agents_of(connection, "mine") == []
            assert performance.cells_of(connection, "mine", "coder") == []
            assert health.alarms_of(connection, "mine", "coder") == []
            assert pacing.spend_of(connection, "mine", "coder").runs == 0

    def test_more_ids_than_a_statement_takes_are_asked_for_in_pieces(self, store: Store) -> None:
        """Look-ups by id have no limit of their own."""
        run = a_run()
        keep(store, run)
        with store.read() as connection:
            wanted = [_new_id() for _ in range(3 * capture.CHUNK)]
            assert capture.existing(connection, [*wanted, run.id]) == {run.id}
            assert latest(connection, wanted) == {}


def _page(store: Store, before: str | None) -> list[str]:
    with store.read() as connection:
        return [run.id for run in capture.list_runs(connection, tenant="default", before=before, limit=10)]


def _call(run: RunRecord) -> CallRecord:
    return CallRecord(id=_new_id(), created_at=NOON, tenant=run.tenant, run_id=run.id, seq=0, attempt=0)
