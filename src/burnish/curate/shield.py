"""Keep golden items from whoever proposes policies: what was learned by heart proves nothing.

Every proposer passes what it is about to show a model, or to fit a policy on, through the shield of its tenant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec
from sqlalchemy import Connection

from burnish.curate import goldens
from burnish.curate.fingerprints import fingerprint
from burnish.errors import InvalidValue

Item = TypeVar("Item")
Content = Callable[[Item], tuple[str, object]]
"""How an item is read: its task in words, and what it was given."""


class Shield(msgspec.Struct, frozen=True):
    """The marks of every golden item of a tenant, of every version."""

    marks: frozenset[str] = frozenset()

    def covers(self, task: str, inputs: object = None) -> bool:
        """Tell whether this is a golden item."""
        return fingerprint(task, inputs) in self.marks

    def without_goldens(self, items: Iterable[Item], content: Content[Item]) -> list[Item]:
        """Return the items that may be shown to a proposer, in their order."""
        return [item for item in items if not self.covers(*content(item))]

    def require_none(self, items: Iterable[Item], content: Content[Item]) -> None:
        """Check that none of the items is golden.

        Raises:
            InvalidValue: One is; says how many, and never what.
        """
        found = sum(self.covers(*content(item)) for item in items)
        if found:
            raise InvalidValue("examples", f"{found} golden items", "a proposer may not see them: leave them out")


def shield(connection: Connection, *, tenant: str) -> Shield:
    """Return the shield of a tenant's golden sets, old versions included.

    Raises:
        ContentChanged: A set is no longer what was frozen, so nobody can say what must be kept back.
    """
    found: set[str] = set()
    for version in goldens.versions(connection, tenant=tenant):
        found |= goldens.load(connection, version.name, version.version, tenant=tenant).fingerprints()
    return Shield(frozenset(found))
