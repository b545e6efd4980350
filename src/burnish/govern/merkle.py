"""The Merkle tree of RFC 6962 §2.1: its hash, short proofs about it, and how a stranger checks them (RFC 9162 §2.1).

Pure: it knows hashes of leaves, nothing of where they are kept. A proof is made from the roots of a few ranges of
leaves, so that a log of any length is proven in bounded memory. Hashes are 32 bytes (SHA-256); leaves count from 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

EMPTY = sha256(b"").digest()
"""Root of the tree without leaves."""

Range = tuple[int, int]
"""Leaves from the first number to before the second."""

RootOf = Callable[[int, int], bytes]
"""Gives the root of the leaves in a range."""


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf: SHA-256 of 0x00 and the data."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node: SHA-256 of 0x01 and both children."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """A tree that only grows: the roots of its full subtrees, at most 64. Append is O(log n), on average one hash."""

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self.size = 0
        self._peaks: list[bytes] = []
        self.extend(leaves)

    def append(self, leaf: bytes) -> None:
        """Add the hash of the next leaf."""
        size, hashed = self.size, leaf
        while size & 1:
            hashed = node_hash(self._peaks.pop(), hashed)
            size >>= 1
        self._peaks.append(hashed)
        self.size += 1

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add the hashes of the next leaves."""
        for leaf in leaves:
            self.append(leaf)

    def root(self) -> bytes:
        """Return the root of all leaves so far."""
        if not self._peaks:
            return EMPTY
        root = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            root = node_hash(peak, root)
        return root

    def copy(self) -> Frontier:
        """Return a tree of the same leaves that grows by itself."""
        other = Frontier()
        other.size, other._peaks = self.size, self._peaks.copy()
        return other


def root(leaves: Iterable[bytes]) -> bytes:
    """Return the root of the tree over hashes of leaves."""
    return Frontier(leaves).root()


def over(leaves: Sequence[bytes]) -> RootOf:
    """Return what gives the root of any range of hashes that are in memory."""
    return lambda start, end: root(leaves[start:end])


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """Return the ranges whose roots prove that leaf `index` is in the tree of `size` leaves, in the order of the proof.

    Raises:
        IndexError: There is no such leaf in a tree of that size.
    """
    if not 0 <= index < size:
        raise IndexError(f"leaf {index} is not in a tree of {size}")
    start, end, found = 0, size, list[Range]()
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((start, middle))
            start = middle
    return found[::-1]


def consistency_ranges(old: int, new: int) -> list[Range]:
    """Return the ranges whose roots prove that the tree of `new` leaves starts with that of `old`, in order.

    Raises:
        IndexError: The old tree is the longer one.
    """
    if not 0 <= old <= new:
        raise IndexError(f"a tree of {new} does not continue one of {old}")
    if old in {0, new}:
        return []
    start, end, found = 0, new, list[Range]()
    while end != old:
        middle = start + _split(end - start)
        if old <= middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((start, middle))
            start = middle
    if start:
        found.append((start, end))
    return found[::-1]


def inclusion_proof(root_of: RootOf, index: int, size: int) -> list[bytes]:
    """Return PATH(index, D[size]) of RFC 6962 §2.1.1: at most log₂(size), rounded up, hashes."""
    return [root_of(start, end) for start, end in inclusion_ranges(index, size)]


def consistency_proof(root_of: RootOf, old: int, new: int) -> list[bytes]:
    """Return PROOF(old, D[new]) of RFC 6962 §2.1.2; empty when old is 0 or equals new."""
    return [root_of(start, end) for start, end in consistency_ranges(old, new)]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Tell whether a proof shows a leaf at `index` of the tree of `size` leaves with this root (RFC 9162 §2.1.3.2)."""
    if not 0 <= index < size or not _hashes(leaf, root, *proof):
        return False
    node, last, hashed = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            hashed = node_hash(sibling, hashed)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            hashed = node_hash(hashed, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and hashed == root


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Tell whether a proof shows that one tree is the beginning of the other (RFC 9162 §2.1.4.2).

    The tree without leaves is the beginning of every tree.
    """
    if not 0 <= old <= new or not _hashes(old_root, new_root, *proof):
        return False
    if old in {0, new}:
        return not proof and old_root == (new_root if old == new else EMPTY)
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        return False
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    before = after = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            after = node_hash(after, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and before == old_root and after == new_root


def _split(size: int) -> int:
    """Return the largest power of two below a size of at least 2."""
    return 1 << ((size - 1).bit_length() - 1)


def _hashes(*values: bytes) -> bool:
    return all(len(value) == 32 for value in values)
