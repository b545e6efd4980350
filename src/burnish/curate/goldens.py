"""Golden datasets: frozen items that a candidate must not do worse on, and that no proposer ever sees.

A set is its content: the digest of its items in canonical form. The same items are the same version; other items are
the next one; a version never changes, and one that was changed behind our back is refused when it is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, select

from burnish.capture.checks import name as checked_name, text
from burnish.curate.canonical import as_written, canonical, digest, storable
from burnish.curate.fingerprints import fingerprint
from burnish.errors import ContentChanged, InvalidValue, NotFound
from burnish.ids import IdSource
from burnish.store.rows import inserter
from burnish.store.schema.curate import golden_datasets as table

MOST_ITEMS = 10_000
MOST_BYTES = 50_000_000
NOTE_CHARS = 2_000


class GoldenItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One task whose right answer, or whose loss so far, is known."""

    id: str
    task: str = ""
    """What is asked, in words."""
    task_type: str = ""
    features: Mapping[str, str | int | float | bool | None] = {}
    inputs: object = None
    """What the task is given, as JSON."""
    expected: object = None
    """The right answer, as JSON. A replay does not show it; the host's runner looks it up by id to judge an answer."""
    baseline_loss: float | None = None
    """The loss in [0, 1] that must be held; None compares with what the baseline does when it is replayed."""


class GoldenDataset(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a set, as it was frozen."""

    id: str
    created_at: datetime
    tenant: str
    name: str
    version: int
    digest: str
    size: int
    items: Sequence[GoldenItem]
    """Sorted by id."""
    note: str | None = None

    def fingerprints(self) -> frozenset[str]:
        """Return what marks its items, by which `curate.fingerprints` keeps them from proposers."""
        return frozenset(fingerprint(item.task, item.inputs) for item in self.items)


class GoldenVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a set, without its items."""

    id: str
    created_at: datetime
    tenant: str
    name: str
    version: int
    digest: str
    size: int
    note: str | None = None


def freeze(
    connection: Connection,
    name: str,
    items: Sequence[GoldenItem],
    *,
    tenant: str,
    ids: IdSource,
    now: datetime,
    note: str | None = None,
) -> GoldenDataset:
    """Keep the items under a name, as its next version; return the version that has this content already, if any.

    The order of the items does not matter. Safe when several do so at once: each content gets one version.

    Raises:
        InvalidValue: An item is not fit to be kept, two share an id, or there are none or too many.
    """
    label = checked_name("name", name)
    said = None if note is None else text("note", note, NOTE_CHARS)
    ordered = sorted(items, key=lambda item: item.id)
    content = _checked(ordered)
    identity = digest(content)
    while True:
        known = _versions(connection, tenant, label)
        same = next((version for version, other in known if other == identity), None)
        if same is not None:
            return load(connection, label, same, tenant=tenant)
        version = 1 + max((number for number, _ in known), default=0)
        row = (ids(), now, tenant, label, version, identity, len(ordered), msgspec.to_builtins(ordered), said)
        inserter(table, connection.dialect.name)(connection, [row])


def load(connection: Connection, name: str, version: int | None = None, *, tenant: str) -> GoldenDataset:
    """Return a version of a set, the newest by default, after checking that it is what was frozen.

    Raises:
        NotFound: There is no such set or version.
        ContentChanged: Its items are no longer those that were frozen.
    """
    query = (
        select(table).where(table.c.tenant == tenant, table.c.name == name).order_by(table.c.version.desc()).limit(1)
    )
    row = connection.execute(query if version is None else query.where(table.c.version == version)).mappings().first()
    if row is None:
        raise NotFound("golden", name if version is None else f"{name}, version {version}", f"tenant {tenant}")
    items = _items(row["items"])
    found = None if items is None else digest(canonical("items", items))
    if items is None or found != row["digest"] or len(items) != row["size"]:
        raise ContentChanged(f"golden dataset {name!r}, version {row['version']}", row["digest"], found)
    facts = {str(field): row[field] for field in GoldenVersion.__struct_fields__}
    return GoldenDataset(**facts, items=items)


def versions(connection: Connection, *, tenant: str, name: str | None = None) -> list[GoldenVersion]:
    """Return every version of every set, or of one, by name and version; without their items."""
    columns = [table.c[field] for field in GoldenVersion.__struct_fields__]
    query = select(*columns).where(table.c.tenant == tenant).order_by(table.c.name, table.c.version)
    if name is not None:
        query = query.where(table.c.name == name)
    return [GoldenVersion(**{str(k): v for k, v in row.items()}) for row in connection.execute(query).mappings()]


def read_lines(lines: Sequence[str], source: str) -> list[GoldenItem]:
    """Return the items of a JSON Lines file, empty lines left out.

    Raises:
        InvalidValue: A line is not an item; names file, line and what is wrong.
    """
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found.append(msgspec.json.decode(line, type=GoldenItem))
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            place = f"{source}, line {number}"
            remedy = f'write one item a line, such as {{"id": "…", "task": "…"}}: {error}'
            raise InvalidValue(place, line[:60], remedy) from error
    return found


def _versions(connection: Connection, tenant: str, name: str) -> list[tuple[int, str]]:
    query = select(table.c.version, table.c.digest).where(table.c.tenant == tenant, table.c.name == name)
    return [(row[0], row[1]) for row in connection.execute(query.order_by(table.c.version))]


def _items(stored: object) -> list[GoldenItem] | None:
    """Return the items of a row, or None when they are none any more."""
    try:
        return msgspec.convert(as_written(stored), list[GoldenItem])
    except (msgspec.ValidationError, RecursionError):
        return None


def _checked(items: Sequence[GoldenItem]) -> bytes:
    if not 0 < len(items) <= MOST_ITEMS:
        raise InvalidValue("items", f"{len(items):,} items", f"give 1 to {MOST_ITEMS:,}")
    for item in items:
        _check(item)
    twice = [name for name, count in Counter(item.id for item in items).items() if count > 1]
    if twice:
        raise InvalidValue("id", twice[0], "give every item an id of its own")
    content = canonical("items", items)
    if len(content) > MOST_BYTES:
        raise InvalidValue("items", f"{len(content):,} bytes", f"keep a set below {MOST_BYTES:,}")
    return content


def _check(item: GoldenItem) -> None:
    if not 0 < len(item.id) <= 200 or not item.id.isprintable():
        raise InvalidValue("id", item.id, "give a name of 1 to 200 printable characters")
    if len(item.task_type) > 200:
        raise InvalidValue(f"task_type of {item.id}", item.task_type, "give a name of at most 200 characters")
    if item.baseline_loss is not None and not 0.0 <= item.baseline_loss <= 1.0:
        raise InvalidValue(f"baseline_loss of {item.id}", item.baseline_loss, "give a loss from 0 to 1, or none")
    storable(f"item {item.id}", item)
