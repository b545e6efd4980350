"""What a tenant wants replaced: its configuration keys `redact.*`, ready to be used."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from burnish.capture.redaction.scanner import KINDS, Custom
from burnish.govern.configuration import Configuration
from burnish.govern.patterns import compile_bounded


class Policy(msgspec.Struct, frozen=True):
    """One tenant's policy."""

    enabled: bool = True
    kinds: frozenset[str] = frozenset(KINDS)
    values: frozenset[str] = frozenset()
    """Left alone, in lower case; for e-mail addresses a domain stands for all below it."""
    custom: tuple[Custom, ...] = ()

    @staticmethod
    def of(configuration: Configuration, tenant: str) -> Policy:
        """Read a tenant's policy.

        Raises:
            InvalidValue: A pattern in the store is not one that `redact.custom` accepts.
        """
        rules = cast("list[dict[str, str]]", configuration.get("redact.custom", tenant))
        custom: list[Custom] = []
        for rule in rules:
            pattern: Any = compile_bounded(f"redact.custom {rule['name']}", rule["pattern"])
            custom.append(Custom(rule["name"], pattern))
        return Policy(
            enabled=configuration.get("redact.enabled", tenant) is not False,
            kinds=frozenset(cast("list[str]", configuration.get("redact.kinds", tenant))),
            values=frozenset(
                value.strip().lower().removeprefix("@")
                for value in cast("list[str]", configuration.get("redact.allow", tenant))
            ),
            custom=tuple(custom),
        )

    def allows(self, kind: str, value: bytes) -> bool:
        """Tell whether a value is to be left alone."""
        text = value.decode("utf-8", "replace").strip().lower()
        if text in self.values:
            return True
        if kind != "email":
            return False
        labels = text.rpartition("@")[2].split(".")
        return any(".".join(labels[position:]) in self.values for position in range(len(labels)))
