"""The Merkle tree against the vectors of Certificate Transparency, the recursion of the RFC, and forged proofs."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, settings, strategies as st

from burnish.govern import merkle

DATA = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""The tree heads of the reference implementation's eight test leaves, by size."""

A, B = (
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
)
C, D = (
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
)
E, F = (
    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
)
INCLUSION = [
    (0, 1, []),
    (0, 8, [A, B, C]),
    (5, 8, [D, E, ROOTS[4]]),
    (2, 3, [ROOTS[2]]),
    (1, 5, [ROOTS[1], B, D]),
]
CONSISTENCY = [(1, 1, []), (1, 8, [A, B, C]), (6, 8, [F, E, ROOTS[4]]), (2, 5, [B, D])]

LEAVES = [merkle.leaf_hash(data) for data in DATA]
MANY = [merkle.leaf_hash(str(number).encode()) for number in range(64)]
HEADS = [merkle.root(MANY[:size]) for size in range(65)]
SIZES = st.integers(1, 5_000)


def by_the_book(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962 §2.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01" + by_the_book(leaves[:split]) + by_the_book(leaves[split:])).digest()


def bad_proofs(proof: list[bytes]) -> list[list[bytes]]:
    """Return what a proof may be turned into: longer, shorter, swapped, and each hash with one bit flipped."""
    flipped = [[*proof[:i], bytes([h[0] ^ 1]) + h[1:], *proof[i + 1 :]] for i, h in enumerate(proof)]
    swapped = [proof[::-1]] if proof != proof[::-1] else []
    shorter = [proof[:-1], proof[1:], [proof[0][:-1], *proof[1:]]] if proof else []
    return [*flipped, *swapped, *shorter, [*proof, MANY[0]], [MANY[0], *proof]]


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_the_reference(size: int) -> None:
    assert merkle.root(LEAVES[:size]).hex() == ROOTS[size]


@pytest.mark.parametrize(("index", "size", "proof"), INCLUSION)
def test_inclusion_proofs_are_those_of_the_reference(index: int, size: int, proof: list[str]) -> None:
    made = merkle.inclusion_proof(merkle.over(LEAVES), index, size)
    assert [part.hex() for part in made] == proof
    assert merkle.verify_inclusion(LEAVES[index], index, size, made, bytes.fromhex(ROOTS[size]))


@pytest.mark.parametrize(("old", "new", "proof"), CONSISTENCY)
def test_consistency_proofs_are_those_of_the_reference(old: int, new: int, proof: list[str]) -> None:
    made = merkle.consistency_proof(merkle.over(LEAVES), old, new)
    assert [part.hex() for part in made] == proof
    assert merkle.verify_consistency(old, new, bytes.fromhex(ROOTS[old]), bytes.fromhex(ROOTS[new]), made)


@pytest.mark.parametrize("size", range(65))
def test_a_tree_that_grew_has_the_root_that_the_book_gives(size: int) -> None:
    frontier = merkle.Frontier(MANY[: size // 2])
    copied = frontier.copy()
    frontier.extend(MANY[size // 2 : size])
    assert frontier.root() == by_the_book(MANY[:size])
    assert (frontier.size, copied.size) == (size, size // 2)
    assert copied.root() == HEADS[size // 2]


@pytest.mark.parametrize("size", range(1, 65))
def test_every_leaf_of_every_tree_is_proven_and_no_other_claim_is(size: int) -> None:
    for index in range(size):
        proof = merkle.inclusion_proof(merkle.over(MANY), index, size)
        assert merkle.verify_inclusion(MANY[index], index, size, proof, HEADS[size])
        assert not merkle.verify_inclusion(MANY[index - 1], index, size, proof, HEADS[size]) or size == 1
        assert not merkle.verify_inclusion(MANY[index], index, size, proof, HEADS[size - 1])
        assert not any(
            merkle.verify_inclusion(MANY[index], other, size, proof, HEADS[size])
            for other in range(size)
            if other != index
        )
        for bad in bad_proofs(proof):
            assert not merkle.verify_inclusion(MANY[index], index, size, bad, HEADS[size])


@pytest.mark.parametrize("new", range(65))
def test_every_tree_continues_all_that_it_grew_from_and_no_other(new: int) -> None:
    for old in range(new + 1):
        proof = merkle.consistency_proof(merkle.over(MANY), old, new)
        assert merkle.verify_consistency(old, new, HEADS[old], HEADS[new], proof)
        other = HEADS[old - 1]
        assert not merkle.verify_consistency(old, new, other, HEADS[new], proof)
        assert (
            not merkle.verify_consistency(old, new, HEADS[old], merkle.node_hash(HEADS[new], other), proof) or not old
        )
        for bad in bad_proofs(proof):
            assert not merkle.verify_consistency(old, new, HEADS[old], HEADS[new], bad)


@settings(max_examples=50)
@given(SIZES, st.data())
def test_large_trees_are_proven_in_few_hashes(size: int, data: st.DataObject) -> None:
    leaves = [sha256(number.to_bytes(4, "big")).digest() for number in range(size)]
    head, root_of = merkle.root(leaves), merkle.over(leaves)
    assert head == by_the_book(leaves)
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size))
    included, continued = merkle.inclusion_proof(root_of, index, size), merkle.consistency_proof(root_of, old, size)
    assert max(len(included), len(continued) - 1) <= size.bit_length()
    assert merkle.verify_inclusion(leaves[index], index, size, included, head)
    assert merkle.verify_consistency(old, size, merkle.root(leaves[:old]), head, continued)


@given(st.integers(-3, 70), st.integers(-3, 70), st.lists(st.sampled_from([*MANY, b"", b"short"]), max_size=8))
def test_a_made_up_proof_is_refused_without_an_error(index: int, size: int, proof: list[bytes]) -> None:
    claimed = merkle.leaf_hash(b"claimed")
    assert not merkle.verify_inclusion(claimed, index, size, proof, HEADS[64])
    assert not merkle.verify_consistency(index, size, claimed, HEADS[64], proof)


def test_what_is_not_in_a_tree_has_no_proof() -> None:
    with pytest.raises(IndexError, match="leaf 8 is not in a tree of 8"):
        merkle.inclusion_proof(merkle.over(LEAVES), 8, 8)
    with pytest.raises(IndexError, match="a tree of 3 does not continue one of 5"):
        merkle.consistency_proof(merkle.over(LEAVES), 5, 3)
