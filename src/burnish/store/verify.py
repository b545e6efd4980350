"""Hold a database against the declared schema.

The declared tables are created a second time where nobody sees them (an in-memory SQLite, temporary tables that are
rolled back on PostgreSQL) and both are read in the same way. So each database spells both sides in its own words, and
only true differences remain. Tables that are not ours are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec
from sqlalchemy import Connection, NullPool, create_engine, text

from burnish.store.schema import metadata
from burnish.store.store import Store
from burnish.store.version import HEAD, current_version


class Part(msgspec.Struct, frozen=True, order=True):
    """What a schema is made of: a table, or a named column, constraint or index of one."""

    table: str
    kind: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.table}.{self.name}" if self.name else f"{self.kind} {self.table}"


Schema = Mapping[Part, str]  # each part with its definition, in the words of its database


class Issue(msgspec.Struct, frozen=True, kw_only=True):
    """One difference between the database and the declared schema, or damage, and what to do about it."""

    what: str
    found: str | None = None
    declared: str | None = None
    remedy: str


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of comparing a database with the declared schema. `tables` counts those declared."""

    url: str
    kind: str
    version: str | None
    tables: int
    issues: list[Issue]

    @property
    def summary(self) -> str:
        """Return the outcome in one line."""
        return f"{self.tables} tables verified. {len(self.issues)} issue{'s' * (len(self.issues) != 1)} found."


def verify(store: Store) -> Verification:
    """Compare every table, column, key, constraint and index with the declared schema, and look for damage.

    Nothing is changed. On SQLite the whole file is read.

    Raises:
        StoreError: The database cannot be read, or (PostgreSQL) its user may not make temporary tables.
    """
    with store.read() as connection:
        version = current_version(connection)
        if store.kind == "sqlite":
            found, declared, damage = _sqlite(connection), _declared_in_memory(), _damage(connection)
        else:
            found, declared, damage = _postgres(connection, "current_schema()"), _declared_as_temporary(connection), []
    moved = [] if version == HEAD else [_move(version)]
    issues = [*moved, *damage, *_differences(found, declared, version, store.kind)]
    return Verification(url=store.url, kind=store.kind, version=version, tables=len(metadata.tables), issues=issues)


def _move(version: str | None) -> Issue:
    behind = version is None or version < HEAD
    remedy = "run `burnish db upgrade`" if behind else "install the release of Burnish that wrote this store"
    return Issue(what="schema version", found=version or "none", declared=HEAD, remedy=remedy)


def _differences(found: Schema, declared: Schema, version: str | None, kind: str) -> Iterator[Issue]:
    absent = {part.table for part in declared if part.kind == "table" and part not in found}
    for part in sorted({*found, *declared}):
        is_now, should_be = found.get(part), declared.get(part)
        if is_now != should_be and (part.kind == "table" or part.table not in absent):
            how = "missing" if is_now is None else "extra" if should_be is None else "changed"
            remedy = _remedy(how, kind) if version == HEAD else "gone once the schema version is right"
            yield Issue(what=f"{how} {part}", found=is_now, declared=should_be, remedy=remedy)


def _remedy(how: str, kind: str) -> str:
    if how == "extra":
        return "not ours: drop it unless you need it"
    alter = "with ALTER" if kind == "postgresql" else "by rebuilding the table (sqlite.org/lang_altertable.html)"
    return f"put it back {alter}, as declared, or restore a backup"


# SQLite: sqlite_master holds the whole schema as text.
_TOKEN = re.compile(
    r"""--[^\n]*|/\*.*?\*/|\s+                                # comments and space
    |(?P<quoted>"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\])             # names in quotes
    |(?P<plain>'(?:[^']|'')*'|[\w.$]+|<>|<=|>=|==|!=|\|\||.)   # all else
    """,
    re.VERBOSE | re.DOTALL,
)


def _sqlite(connection: Connection) -> Schema:
    rows = connection.execute(text("SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
    schema: dict[Part, str] = {}
    for kind, name, table, sql in rows:
        tokens = list(_tokens(sql))
        if kind == "table" and table in metadata.tables:
            schema[Part(table, "table")] = "table"
            schema.update(_described(table, item) for item in _items(tokens))
        elif kind == "index" and table in metadata.tables:
            unique = "unique " if tokens[1] == "unique" else ""
            schema[Part(table, "index", name)] = unique + _spelled(tokens[tokens.index("(") :])
    return schema


def _tokens(sql: str) -> Iterator[str]:
    for match in _TOKEN.finditer(sql):
        if match["quoted"]:
            yield match["quoted"][1:-1].lower()
        elif match["plain"]:
            yield match["plain"] if match["plain"].startswith("'") else match["plain"].lower()


def _items(tokens: list[str]) -> Iterator[list[str]]:
    """Split what stands between the outer parentheses of CREATE TABLE at its commas."""
    depth, item = 0, list[str]()
    for token in tokens[tokens.index("(") :]:
        depth += {"(": 1, ")": -1}.get(token, 0)
        if (token, depth) in {(",", 1), (")", 0)}:
            yield item
            item = []
        elif (token, depth) != ("(", 1):
            item.append(token)
        if depth == 0:
            return


def _described(table: str, item: list[str]) -> tuple[Part, str]:
    if item[0] not in {"constraint", "check", "unique", "primary", "foreign"}:
        return Part(table, "column", item[0]), _spelled(item[1:])
    named = item[0] == "constraint"
    return Part(table, "constraint", item[1] if named else _spelled(item)), _spelled(item[2 * named :])


def _spelled(tokens: list[str]) -> str:
    return re.sub(r"(?<=\() | (?=[),])|(?<=char) (?=\()", "", " ".join(tokens))


def _declared_in_memory() -> Schema:
    with create_engine("sqlite://", poolclass=NullPool).begin() as connection:
        metadata.create_all(connection)
        return _sqlite(connection)


def _damage(connection: Connection) -> list[Issue]:
    said = connection.exec_driver_sql("PRAGMA integrity_check").scalars()
    return [Issue(what="damage", found=line, remedy="restore your latest backup") for line in said if line != "ok"]


# PostgreSQL: the catalog prints every definition in one spelling.
_CATALOG = """
WITH ours AS (SELECT oid, relname FROM pg_class WHERE relkind IN ('r', 'p') AND relname = ANY(:tables)
    AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = {schema}))
SELECT relname, 'table', '', 'table' FROM ours
UNION ALL SELECT relname, 'column', attname, format_type(atttypid, atttypmod)
    || CASE WHEN attcollation <> typcollation THEN ' collate ' || attcollation::regcollation::text ELSE '' END
    || CASE WHEN attnotnull THEN ' not null' ELSE '' END || attidentity::text || attgenerated::text
    || coalesce(' default ' || pg_get_expr(adbin, adrelid), '')
FROM ours JOIN pg_attribute ON attrelid = ours.oid AND attnum > 0 AND NOT attisdropped
JOIN pg_type ON pg_type.oid = atttypid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
UNION ALL SELECT relname, 'constraint', conname, pg_get_constraintdef(pg_constraint.oid)
FROM ours JOIN pg_constraint ON conrelid = ours.oid AND contype IN ('p', 'u', 'c', 'f', 'x')
UNION ALL SELECT ours.relname, 'index', named.relname, CASE WHEN indisunique THEN 'unique ' ELSE '' END ||
    regexp_replace(pg_get_indexdef(indexrelid), '^.*? USING ', '') || CASE WHEN indisvalid THEN '' ELSE ' invalid' END
FROM ours JOIN pg_index ON indrelid = ours.oid JOIN pg_class AS named ON named.oid = indexrelid WHERE NOT EXISTS
    (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u', 'x'))
"""
_TEMPORARY = "(SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema())"


def _postgres(connection: Connection, schema: str) -> Schema:
    rows = connection.execute(text(_CATALOG.format(schema=schema)), {"tables": list(metadata.tables)})
    return {Part(table, kind, name): definition for table, kind, name, definition in rows}


def _declared_as_temporary(connection: Connection) -> Schema:
    with connection.begin_nested() as savepoint:
        metadata.create_all(connection.execution_options(schema_translate_map={None: "pg_temp"}), checkfirst=False)
        declared = _postgres(connection, _TEMPORARY)
        savepoint.rollback()
    return declared
