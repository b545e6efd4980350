"""Tell what became of entries that do not fit their leaves: changed where they stand, or moved from another place."""

from __future__ import annotations

from collections.abc import Iterator

from burnish.govern.entry import Entry

MOST = 100
"""Entries that are looked at; each is tried in the places of all."""


class Moves:
    """The entries whose leaves do not fit."""

    def __init__(self) -> None:
        self._entries: list[tuple[Entry, int, bool]] = []
        self._left_out = 0
        self._missing: list[int] = []

    def missing(self, start: int, end: int) -> None:
        """Take in numbers that no entry has: one that was renumbered may be of them."""
        self._missing += range(start, min(end, start + MOST - len(self._missing)))

    def add(self, entry: Entry, expected: int, *, payload_fits: bool) -> None:
        """Take in one, with the number that its position gives it."""
        if len(self._entries) < MOST:
            self._entries.append((entry, expected, payload_fits))
        else:
            self._left_out += 1

    def explained(self) -> Iterator[tuple[int, str]]:
        """Yield the number of each, and what was done to it; those that changed places are named together."""
        origins = {entry.seq: self._origin(entry, expected) for entry, expected, _ in self._entries}
        moved = {now: was for now, was in origins.items() if was is not None}
        swapped = sorted(set(moved) & set(moved.values()))
        if swapped and {moved[seq] for seq in swapped} == set(swapped):
            yield swapped[0], f"events {_listed(swapped)} were reordered"
        else:
            swapped = []
        for entry, _, payload_fits in self._entries:
            if entry.seq not in swapped:
                yield entry.seq, _said(entry, origins[entry.seq], payload_fits=payload_fits)
        if self._left_out:
            first = self._entries[-1][0].seq + 1
            yield first, f"{self._left_out:,} events after event {first - 1} do not match their leaves either"

    def _origin(self, entry: Entry, expected: int) -> int | None:
        """Return the number under which an entry fits a leaf: its own, or that of the place it came from."""
        leaves = {other.seq: other.leaf for other, _, _ in self._entries}
        for seq in dict.fromkeys([expected, entry.seq - 1, entry.seq + 1, *self._missing, *leaves]):
            if seq != entry.seq and entry.leaf_hash(seq).hex() in {entry.leaf, leaves.get(seq)}:
                return seq
        return None


def _said(entry: Entry, was: int | None, *, payload_fits: bool) -> str:
    if was is not None and was > entry.seq:
        return f"event {entry.seq} was event {was} when it was written: events before it were removed"
    if was is not None:
        return f"event {entry.seq} was event {was} when it was written: it was moved, or events were put in before it"
    what = "its leaf does not match" if payload_fits else "neither its payload nor its leaf matches"
    return f"event {entry.seq} was changed: {what}"


def _listed(numbers: list[int]) -> str:
    shown = [str(number) for number in numbers[:10]] + ([f"{len(numbers) - 10} more"] if len(numbers) > 10 else [])
    return ", ".join(shown[:-1]) + f" and {shown[-1]}"
