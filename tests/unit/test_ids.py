"""Ids: UUIDv7, in the order they were made, never twice."""

from __future__ import annotations

import threading
import uuid

from hypothesis import given, strategies as st

from burnish.ids import UuidV7Source
from burnish.testing.clock import FakeClock


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=60))
def test_ids_increase_even_when_the_clock_runs_backwards(steps: list[float]) -> None:
    clock = FakeClock()
    source = UuidV7Source(clock, seed=1)
    made = []
    for step in steps:
        clock.advance(step)
        made.append(source())
    assert made == sorted(set(made))


def test_an_id_is_a_uuid_of_version_7_and_carries_its_millisecond() -> None:
    clock = FakeClock()
    clock.advance(12.345)
    made = uuid.UUID(UuidV7Source(clock)())
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == round(clock.now().timestamp() * 1000)


def test_threads_never_make_the_same_id() -> None:
    source = UuidV7Source(FakeClock())
    made: list[str] = []

    def work() -> None:
        made.extend([source() for _ in range(2_000)])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 8_000


def test_two_sources_differ_unless_they_share_a_seed() -> None:
    clock = FakeClock()
    assert UuidV7Source(clock)() != UuidV7Source(clock)()
    assert UuidV7Source(clock, 7)() == UuidV7Source(clock, 7)()
