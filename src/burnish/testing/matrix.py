"""Read a task × model matrix from a CSV file: one row a task and model, every complaint with its line and column."""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from burnish.errors import InvalidValue

Array: TypeAlias = NDArray[np.float64]

REQUIRED = ("task_id", "task_type", "model", "success", "cost_usd")
OPTIONAL = ("duration_s", "task_text")
LONGEST_NAME = 200
_WORDS = {"true": 1.0, "false": 0.0}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One cell of the matrix as it was recorded. Money in USD, durations in seconds."""

    task_id: str
    task_type: str
    model: str
    quality: float | None
    """1 or 0, or a score between; None when the result is not known."""
    cost_usd: float | None
    duration_s: float | None = None
    task_text: str | None = None


def read_file(path: Path) -> list[Entry]:
    """Read a .csv or .csv.gz file.

    Raises:
        InvalidValue: The file cannot be read, lacks a column, or a value is wrong; names file, line and column.
    """
    where = path.name
    reader = csv.DictReader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        missing = [name for name in REQUIRED if name not in (reader.fieldnames or ())]
        if missing:
            wanted = ", ".join((*REQUIRED, *(f"[{name}]" for name in OPTIONAL)))
            raise InvalidValue(f"{where}, line 1", reader.fieldnames or [], f"add {missing[0]!r}; columns are {wanted}")
        return list(entries(_numbered(reader, where)))
    except csv.Error as error:
        raise InvalidValue(
            f"{where}, line {reader.line_num}", str(error), "write valid comma-separated text"
        ) from error


def entries(rows: Iterable[tuple[str, Mapping[str, object]]]) -> Iterator[Entry]:
    """Check rows, each given with the place it came from."""
    for place, row in rows:
        yield Entry(
            task_id=_name(place, row, "task_id"),
            task_type=_name(place, row, "task_type"),
            model=_name(place, row, "model"),
            quality=_number(place, row, "success", 1.0),
            cost_usd=_number(place, row, "cost_usd"),
            duration_s=_number(place, row, "duration_s"),
            task_text=str(row["task_text"]) if row.get("task_text") else None,
        )


def _numbered(reader: csv.DictReader[str], where: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    for row in reader:
        place = f"{where}, line {reader.line_num}"
        if None in row or None in row.values():
            raise InvalidValue(place, f"{len(row)} fields", "give every row as many fields as the header has columns")
        yield place, row


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
        return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InvalidValue(path.name, str(error), "the .gz file is damaged; write it again") from error
    except UnicodeDecodeError as error:
        raise InvalidValue(path.name, f"byte {error.start}", "save the file as UTF-8") from error
    except OSError as error:
        raise InvalidValue(str(path), error.strerror or str(error), "give a .csv or .csv.gz file to read") from error


def _name(place: str, row: Mapping[str, object], column: str) -> str:
    value = str(row.get(column) or "").strip()
    if not 0 < len(value) <= LONGEST_NAME or not value.isprintable():
        raise InvalidValue(
            f"{place}, column {column}", value, f"give a name of 1 to {LONGEST_NAME} printable characters"
        )
    return value


def _number(place: str, row: Mapping[str, object], column: str, high: float = math.inf) -> float | None:
    """Return a number from 0 to `high`; None when the field is empty."""
    raw = row.get(column)
    text = "" if raw is None else str(raw).strip().lower()
    if not text:
        return None
    remedy = (
        "give True, False or a score from 0 to 1" if high == 1.0 else "give a number of at least 0, or leave it empty"
    )
    if high == 1.0 and text in _WORDS:
        return _WORDS[text]
    try:
        value = float(text)
    except ValueError as error:
        raise InvalidValue(f"{place}, column {column}", raw, remedy) from error
    if not (math.isfinite(value) and 0.0 <= value <= high):
        raise InvalidValue(f"{place}, column {column}", raw, remedy)
    return value


def imputed(cost: Array, types: Sequence[str], models: Sequence[str], source: str) -> Array:
    """Fill unknown costs, shape [N, K], with the mean of their model on their type, else with the model's mean.

    Raises:
        InvalidValue: A model's cost is nowhere recorded.
    """
    unknown = np.isnan(cost)
    for k, model in enumerate(models):
        if unknown[:, k].all():
            raise InvalidValue(
                f"{source}, column cost_usd", model, "give this model's cost at least once; 0 if it is free"
            )
    rows = defaultdict(list)
    for i, name in enumerate(types):
        rows[name].append(i)
    filled = cost.copy()
    for of_type in rows.values():
        for k in range(len(models)):
            part = cost[of_type, k]
            mean = np.nanmean(cost[:, k] if np.isnan(part).all() else part)
            filled[of_type, k] = np.where(np.isnan(part), mean, part)
    return filled
