"""What all runs of a loop share, and the signals that are made with it during a run and long after."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from burnish.capture import checks
from burnish.capture.prices import PriceTable
from burnish.capture.records import Bundle, SignalRecord
from burnish.clock import Clock
from burnish.ids import IdSource


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """What every run of a loop shares."""

    clock: Clock
    ids: IdSource
    prices: PriceTable
    clip_chars: int
    process_id: Callable[[], str]
    started: Callable[[], None]
    finish: Callable[[Bundle, int], bool]
    refuse: Callable[[str, Exception, str | None], None]
    """Report (or raise) a refused value: what was called, the error, the run's id."""


def make_signal(
    site: Site,
    tenant: str,
    run_id: str,
    name: str,
    value: float | bool | None,
    *,
    label: str | None = None,
    reason: str | None = None,
    source: str = "host",
    late: bool,
    at: datetime | None = None,
) -> SignalRecord:
    """Return a checked signal.

    Raises:
        InvalidValue: A value is not finite, or a name is empty.
    """
    return SignalRecord(
        id=site.ids(),
        created_at=at or site.clock.now(),
        tenant=tenant,
        run_id=checks.identity("run_id", run_id),
        name=checks.text("name", checks.name("name", name), 100),
        value=None if value is None else checks.number(checks.name("name", name), value, -float("inf")),
        label=None if label is None else checks.text("label", label, site.clip_chars),
        reason=None if reason is None else checks.text("reason", reason, 4_000),
        source=checks.text("source", source, 100),
        late=late,
    )
