"""Prove at start that redaction works: a known sample of each kind must be found, and a decoy must not."""

from __future__ import annotations

from burnish.capture.redaction.scanner import KINDS, Scanner
from burnish.errors import RedactionFailed

SAMPLES: tuple[tuple[str, str, str], ...] = (
    ("ssn", "the number is 536-22-8145, he said", "536-22-8145"),
    ("email", "write to jo.doe+x@mail.example.org.", "jo.doe+x@mail.example.org"),
    ("card", "paid with 4111 1111 1111 1111 today", "4111 1111 1111 1111"),
    ("phone", "ring +44 20 7946 0958 or wait", "+44 20 7946 0958"),
    ("iban", "to DE89 3704 0044 0532 0130 00 please", "DE89 3704 0044 0532 0130 00"),
    ("ip", "seen from 203.0.113.77 twice", "203.0.113.77"),
    ("secret", "token=ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a", "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"),
    ("secret", 'password: "correct-horse-7"', "correct-horse-7"),
)
DECOYS = (
    "run 0192f3a4-7b1c-7def-8a90-123456789012 of 2026-11-24T11:08:04.123456+01:00 took 0.123456789 s",
    "commit 3f2a9c1d0b7e6f5a4c3b2d1e0f9a8b7c6d5e4f3a, version 1.2.3.4, order 12345678",
)


def check(scanner: Scanner) -> None:
    """Scan the samples.

    Raises:
        RedactionFailed: A sample was missed, or a decoy was taken.
    """
    every = frozenset(KINDS)
    for kind, text, value in SAMPLES:
        data = text.encode()
        found = [(f.kind, data[f.start : f.end].decode()) for f in scanner.find(data, kinds=every)]
        if found != [(kind, value)]:
            raise RedactionFailed(f"its self-test did not find the sample of {kind}")
    for text in DECOYS:
        if scanner.find(text.encode(), kinds=every):
            raise RedactionFailed("its self-test took an identifier for personal data")
