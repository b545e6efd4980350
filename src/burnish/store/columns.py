"""Column types that read and write the same values on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Boolean, Column, DateTime, Float, Integer, String, Text
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION, JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.types import JSON, TypeDecorator, TypeEngine

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

Real = Float(53).with_variant(DOUBLE_PRECISION(), "postgresql")
Json = JSON().with_variant(JSONB(), "postgresql")
Id = String(36)
Count = BigInteger()

__all__ = [
    "EPOCH",
    "Boolean",
    "Column",
    "Count",
    "Id",
    "Integer",
    "Json",
    "Real",
    "String",
    "Text",
    "UtcTime",
    "decode_json",
    "encode_json",
    "from_micros",
    "identity",
    "to_micros",
]


def to_micros(moment: datetime) -> int:
    """Return microseconds since 1970 in UTC; exact, no float in between."""
    return (moment - EPOCH) // MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return the aware UTC time of a count of microseconds since 1970."""
    return EPOCH + timedelta(microseconds=micros)


class UtcTime(TypeDecorator[datetime]):
    """An aware UTC time: timestamptz on PostgreSQL, integer microseconds since 1970 on SQLite.

    SQLite has no time type; an integer sorts, subtracts and buckets by day with one division, in 8 bytes.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the type that the database stores."""
        stored: TypeEngine[Any] = BigInteger() if dialect.name == "sqlite" else DateTime(timezone=True)
        return dialect.type_descriptor(stored)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> object:
        """Turn a time into what the database stores."""
        return to_micros(value) if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: object, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Turn what the database stores into a time."""
        if isinstance(value, int):
            return from_micros(value)
        return value.astimezone(UTC) if isinstance(value, datetime) else None


def encode_json(value: object) -> str:
    """Serialise for a JSON column."""
    return msgspec.json.encode(value).decode()


decode_json: Callable[[str | bytes], object] = msgspec.json.decode


def identity() -> tuple[Column[str], Column[datetime]]:
    """Return the two columns every table starts with: id (UUIDv7) and created_at (UTC)."""
    return Column("id", Id, primary_key=True), Column("created_at", UtcTime, nullable=False)
