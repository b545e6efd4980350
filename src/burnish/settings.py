"""What a process needs to know before it opens a store: one table, read once.

Order of precedence: argument of `burnish.open` > environment > `[burnish]` in ./burnish.toml > default.
How the system learns and routes is not here but in the store (`govern.configuration`), where it is shared.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from burnish.errors import InvalidValue


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one process. Field NAME is set by BURNISH_NAME or `name` in burnish.toml."""

    url: str = ".burnish"
    """The store: a folder (SQLite) or postgresql://…"""
    home: str = ".burnish"
    """Folder for this machine's spool and process counters when the store is not a folder."""
    tenant: str = "default"
    """Isolation boundary that runs belong to unless they name another."""
    audit_file: str = ""
    """File of signed checkpoints of the audit log; best where nobody who can write the store can."""
    strict: bool = False
    """Raise capture errors in the host instead of reporting them as data."""
    queue_runs: int = 10_000
    """Finished runs that may wait in memory; more are dropped and counted."""
    queue_mb: int = 64
    """Megabytes of text that may wait in memory; more is dropped and counted."""
    flush_seconds: float = 0.05
    """Longest time a finished run waits before it is written."""
    batch_runs: int = 256
    """Most runs written in one transaction."""
    redaction_key: str = ""
    """File with the secret behind pseudonyms; by default `redaction.key` in the home. Share it among machines."""
    clip_chars: int = 65_536
    """Longest text kept of one field; the rest is cut and its length noted."""


def load(
    *,
    overrides: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    file: Path = Path("burnish.toml"),
) -> Settings:
    """Read the settings.

    Raises:
        InvalidValue: A setting has the wrong type or is not known; names it and where it came from.
    """
    values: dict[str, object] = {}
    if file.is_file():
        try:
            values.update(_table(file, tomllib.loads(file.read_text(encoding="utf-8"))))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InvalidValue(str(file), str(error), "write valid TOML with a [burnish] table") from error
    for name in Settings.__struct_fields__:
        text = (os.environ if environ is None else environ).get(f"BURNISH_{name.upper()}")
        if text is not None:
            values[name] = text
    values.update({name: value for name, value in (overrides or {}).items() if value is not None})
    return _checked(values)


def _table(file: Path, found: Mapping[str, object]) -> dict[str, object]:
    for name in Settings.__struct_fields__:
        if name in found:
            raise InvalidValue(name, found[name], f"in {file} it belongs below a line that reads [burnish]")
    table = found.get("burnish", {})
    if not isinstance(table, dict):
        raise InvalidValue("burnish", table, f"in {file} write it as a table: [burnish]")
    return table


def _checked(values: dict[str, object]) -> Settings:
    for name, value in values.items():
        if name not in Settings.__struct_fields__:
            known = ", ".join(Settings.__struct_fields__)
            raise InvalidValue(name, value, f"there is no such setting; the settings are {known}")
    try:
        settings = msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        field = str(error).rpartition("$.")[2].strip("`") or "settings"
        raise InvalidValue(field, values.get(field), str(error)) from error
    for name in ("queue_runs", "queue_mb", "batch_runs", "clip_chars", "flush_seconds"):
        if not getattr(settings, name) > 0:
            raise InvalidValue(name, getattr(settings, name), "give a number above 0")
    return settings
