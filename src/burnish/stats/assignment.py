"""Assign units to arms by a hash: the same unit, the same arm, on every machine, without storing anything.

An arm that gets a larger share keeps the units it has. Different salts give independent assignments, so a unit's arm
in one experiment says nothing about its arm in another.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

SEPARATOR = "\x1f"
"""ASCII unit separator between salt and unit."""

_BITS = 53
"""Bits of the hash that a float in [0, 1) holds exactly."""


def unit_number(salt: str, unit: str) -> float:
    """Return the unit's number in [0, 1): the first 64 bits of sha256(salt ␟ unit) over 2⁶⁴, cut to 53 bits.

    Cut, not rounded: rounding would turn the largest hashes into 1.

    Args:
        salt: Identity of the experiment (and of its epoch, when units are to be drawn anew).
        unit: Identity of what is assigned.

    Raises:
        ValueError: The salt contains the separator, so another pair could have the same hash.
    """
    if SEPARATOR in salt:
        raise ValueError("a salt may not contain the unit separator U+001F")
    digest = sha256(f"{salt}{SEPARATOR}{unit}".encode(errors="surrogatepass")).digest()
    return (int.from_bytes(digest[:8], "big") >> (64 - _BITS)) / (1 << _BITS)


def arm_of(number: float, shares: Sequence[float]) -> int:
    """Return the arm of a unit's number: 0 for control, j for candidate j.

    Candidate j of k owns the band that starts at (j − 1)/k and is as wide as its share. A band only grows with its own
    share, so no growth of any share moves a unit from one candidate to another. Keep a candidate's place in the list
    when another one leaves: give that one share 0.

    Args:
        number: From `unit_number`, in [0, 1).
        shares: Probability of each candidate, each in [0, 1/k], together below 1: the rest is control's.

    Raises:
        ValueError: The number or the shares are out of their range.
    """
    check_shares(shares)
    if not 0.0 <= number < 1.0:
        raise ValueError(f"number={number} lies outside [0, 1): take it from unit_number()")
    count = len(shares)
    lane = min(int(number * count), count - 1)
    return lane + 1 if count and lane / count <= number < lane / count + shares[lane] else 0


def check_shares(shares: Sequence[float]) -> None:
    """Raise ValueError unless each of the k shares lies in [0, 1/k] and together they leave something to control."""
    most = 1.0 / len(shares) if shares else 0.0
    if not all(0.0 <= share <= most for share in shares):
        raise ValueError(
            f"shares {list(shares)}: each of {len(shares)} candidates may have between 0 and {most:g}, its own lane"
        )
    if not sum(shares) < 1.0:
        raise ValueError(f"shares {list(shares)} leave nothing to control: together they must stay below 1")
