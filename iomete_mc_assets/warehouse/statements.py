"""Every statement the metadata collectors ask, as text, and the quoting that makes it safe. Runs nothing."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from iomete_mc_assets.records import TableId

TAG = "/* iomete_mc_assets */"
"""Opens every statement of ours; comments survive in query logs, where it lets us leave our own out."""


def quoted(*parts: str) -> str:
    """A Spark identifier, each part in backticks, e.g. `` `my-db`.`t` ``; a backtick inside is doubled."""
    return ".".join("`" + part.replace("`", "``") + "`" for part in parts)


def literal(text: str) -> str:
    """A Spark string literal in single quotes.

    A dollar sign is written as its code, because Spark replaces ``${name}`` in the statement's text
    before it parses it (``spark.sql.variable.substitute``, on by default).
    """
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("$", "\\u0024")
    return f"'{escaped}'"


def tagged(statement: str) -> str:
    """The statement with ``TAG`` before it; as it was when it already has one."""
    return statement if statement.startswith(TAG) else f"{TAG} {statement}"


def use_catalog(catalog: str) -> str:
    """Make a catalog the session's: before IOMETE 3.17 SHOW checked rights against the current one."""
    return tagged(f"USE {quoted(catalog)}")


def show_namespaces(catalog: str, namespace: Sequence[str] = ()) -> str:
    """Namespaces directly below another one, as column ``namespace``: whole paths, quoted where needed."""
    return tagged(f"SHOW NAMESPACES IN {quoted(catalog, *namespace)}")


def describe_namespace(catalog: str, namespace: Sequence[str]) -> str:
    """``info_name``, ``info_value``: comment, location, owner and ``Properties``."""
    return tagged(f"DESCRIBE NAMESPACE EXTENDED {quoted(catalog, *namespace)}")


def show_tables(catalog: str, namespace: Sequence[str]) -> str:
    """``namespace``, ``tableName``, ``isTemporary``; in the session catalog views too."""
    return tagged(f"SHOW TABLES IN {quoted(catalog, *namespace)}")


def show_views(catalog: str, namespace: Sequence[str]) -> str:
    """``namespace``, ``viewName``, ``isTemporary``; an error where a catalog has no views."""
    return tagged(f"SHOW VIEWS IN {quoted(catalog, *namespace)}")


def show_table_extended(catalog: str, namespace: Sequence[str], *, pattern: str = "*") -> str:
    """The whole survey of a session catalog's database: column ``information`` has a block a table.

    Args:
        catalog: a session catalog; v2 catalogs refuse the statement.
        namespace: one level.
        pattern: ``*`` and alternatives with ``|``, case-insensitive.
    """
    return tagged(f"SHOW TABLE EXTENDED IN {quoted(catalog, *namespace)} LIKE {literal(pattern)}")


def name_patterns(names: Collection[str], *, at_most: int) -> list[str]:
    """Patterns for ``show_table_extended`` that together match every name, each about ``at_most`` of them.

    They part by prefixes, because a pattern that lists names is compared with every table name by name. A table
    made meanwhile may match none, and an underscore may match any character at the metastore: who asks compares.

    Args:
        names: of one database; none give the pattern that matches all.
        at_most: 1 or more.
    """
    groups: list[list[str]] = []
    weight = 0
    for pattern, matches in _by_prefix(sorted(names), "", at_most):
        if groups and weight + matches <= at_most:
            groups[-1].append(pattern)
            weight += matches
        else:
            groups.append([pattern])
            weight = matches
    return ["|".join(group) for group in groups]


def _by_prefix(names: Sequence[str], prefix: str, at_most: int) -> Iterator[tuple[str, int]]:
    """Prefix patterns of at most ``at_most`` names each, with how many; a name that is a prefix stands alone."""
    if len(names) <= at_most:
        yield f"{prefix}*", len(names)
        return
    for longer, group in groupby(names, key=lambda name: name[: len(prefix) + 1]):
        if longer == prefix:
            yield prefix, len(list(group))
        else:
            yield from _by_prefix(list(group), longer, at_most)


def describe_table(table: TableId) -> str:
    """``col_name``, ``data_type``, ``comment``: columns, then sections."""
    return tagged(f"DESCRIBE TABLE EXTENDED {_name(table)}")


def show_table_properties(table: TableId) -> str:
    """``key``, ``value``: the properties one by one, the only listing that cannot be misread."""
    return tagged(f"SHOW TBLPROPERTIES {_name(table)}")


def show_create_table(table: TableId) -> str:
    """``createtab_stmt``: one text, in which nested names are quoted and nested comments shown."""
    return tagged(f"SHOW CREATE TABLE {_name(table)}")


def show_setting(name: str) -> str:
    """``key``, ``value``: a session's setting, hidden as a property would be."""
    return tagged(f"SET {name}")


def present_state(table: TableId) -> str:
    """What a table says of its present itself, where the metastore's listing is not to be had.

    Columns: ``kind``, ``snapshot_id``, ``at_ms``, ``file`` and ``summary``, a JSON object of texts. Kinds: ``m`` for
    each metadata file in the order they were written, the current one last; ``s`` for the current snapshot, if there
    is one; ``c`` with the number of snapshots as ``snapshot_id``.
    """
    return tagged(
        "SELECT 'm' AS kind, CAST(NULL AS BIGINT) AS snapshot_id, unix_millis(timestamp) AS at_ms, file, "
        f"CAST(NULL AS STRING) AS summary FROM {_name(table, 'metadata_log_entries')}\nUNION ALL\n"
        "SELECT 's', snapshot_id, unix_millis(committed_at), CAST(NULL AS STRING), to_json(summary) "
        f"FROM {_name(table, 'snapshots')} WHERE snapshot_id IN "
        f"(SELECT snapshot_id FROM {_name(table, 'refs')} WHERE name = 'main')\nUNION ALL\n"
        "SELECT 'c', count(*), CAST(NULL AS BIGINT), CAST(NULL AS STRING), CAST(NULL AS STRING) "
        f"FROM {_name(table, 'snapshots')}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRead:
    """What to read of one table's history.

    Attributes:
        since: first instant of interest, included; None reads from the oldest row.
        before: the instant from which on nothing is of interest but the first row, which shows what was
            before it.
    """

    table: TableId
    since: datetime | None
    before: datetime


def history_and_snapshots(batch: Sequence[HistoryRead]) -> str:
    """``.history`` (kind ``h``) and ``.snapshots`` (kind ``s``) of several tables in one statement.

    Columns: ``n`` (place in the batch), ``kind``, ``snapshot_id``, ``parent_id``, ``at_ms``, ``operation`` and
    ``summary``, a JSON object of texts. A union, joined on the client: a join costs Spark twice as much, and
    so does a column for each key of the summary.
    """
    branches: list[str] = []
    for number, read in enumerate(batch):
        branches.append(
            f"SELECT {number} AS n, 'h' AS kind, snapshot_id, parent_id, unix_millis(made_current_at) AS at_ms, "
            "CAST(NULL AS STRING) AS operation, CAST(NULL AS STRING) AS summary "
            f"FROM {_name(read.table, 'history')} WHERE {_bounded('made_current_at', read)}"
        )
        branches.append(
            f"SELECT {number}, 's', snapshot_id, parent_id, unix_millis(committed_at), operation, "
            f"to_json(summary) FROM {_name(read.table, 'snapshots')} WHERE {_bounded('committed_at', read)}"
        )
    return tagged("\nUNION ALL\n".join(branches))


def named_snapshots(batch: Sequence[tuple[TableId, Iterable[int]]]) -> str:
    """Single snapshots by id, in the columns of ``history_and_snapshots``; each table needs one id or more."""
    return _snapshots(
        (table, f"snapshot_id IN ({', '.join(map(str, sorted(ids)))})") for table, ids in batch
    )


def older_snapshots(batch: Sequence[tuple[TableId, datetime]]) -> str:
    """The snapshots committed before an instant, in the columns of ``history_and_snapshots``."""
    return _snapshots(
        (table, f"committed_at < timestamp_millis({_milliseconds(before)})")
        for table, before in batch
    )


def _snapshots(batch: Iterable[tuple[TableId, str]]) -> str:
    return tagged(
        "\nUNION ALL\n".join(
            f"SELECT {number} AS n, 's' AS kind, snapshot_id, parent_id, unix_millis(committed_at) AS at_ms, "
            f"operation, to_json(summary) AS summary FROM {_name(table, 'snapshots')} WHERE {wanted}"
            for number, (table, wanted) in enumerate(batch)
        )
    )


def metadata_logs(batch: Sequence[TableId]) -> str:
    """Of several tables: metadata files, snapshots made since the first of those, oldest row, current snapshot.

    Their kinds are ``m``, ``s``, ``h`` (of ``.history``) and ``r`` (of ``.refs``).
    Columns: ``n``, ``kind``, ``snapshot_id``, ``parent_id``, ``at_ms``, ``file``, ``sequence_number``, ``operation``,
    ``summary``.
    """
    branches: list[str] = []
    for number, table in enumerate(batch):
        log = _name(table, "metadata_log_entries")
        nothing = "CAST(NULL AS STRING), CAST(NULL AS BIGINT)"
        no_commit = "CAST(NULL AS STRING) AS operation, CAST(NULL AS STRING) AS summary"
        branches.append(
            f"SELECT {number} AS n, 'm' AS kind, latest_snapshot_id AS snapshot_id, CAST(NULL AS BIGINT) AS parent_id, "
            f"unix_millis(timestamp) AS at_ms, file, latest_sequence_number AS sequence_number, {no_commit} FROM {log}"
        )
        branches.append(
            f"(SELECT {number}, 'h', snapshot_id, parent_id, unix_millis(made_current_at), {nothing}, {no_commit} "
            f"FROM {_name(table, 'history')} ORDER BY made_current_at LIMIT 1)"
        )
        branches.append(
            f"SELECT {number}, 's', snapshot_id, parent_id, unix_millis(committed_at), {nothing}, operation, "
            f"to_json(summary) FROM {_name(table, 'snapshots')} "
            f"WHERE committed_at >= (SELECT min(timestamp) FROM {log})"
        )
        branches.append(
            f"SELECT {number}, 'r', snapshot_id, CAST(NULL AS BIGINT), CAST(NULL AS BIGINT), {nothing}, {no_commit} "
            f"FROM {_name(table, 'refs')} WHERE name = 'main'"
        )
    return tagged("\nUNION ALL\n".join(branches))


def current_snapshots(files: Sequence[str]) -> str:
    """Of metadata files by path: ``n`` (place), ``format`` (NULL of what is no JSON) and ``snapshot_id`` (-1: none), as texts."""
    content = "CAST(content AS STRING)"
    return tagged(
        "\nUNION ALL\n".join(
            f"SELECT {number} AS n, get_json_object({content}, '$.format-version') AS format, "
            f"get_json_object({content}, '$.current-snapshot-id') AS snapshot_id "
            f"FROM {quoted('binaryFile', file)}"
            for number, file in enumerate(files)
        )
    )


def count_rows(table: TableId, snapshot_id: int) -> str:
    """``rows`` of one snapshot, counted: reads the table's data where it has row-level deletes."""
    return tagged(f"SELECT count(*) AS rows FROM {_name(table)} VERSION AS OF {snapshot_id}")


def namespace_parts(shown: str) -> tuple[str, ...]:
    """The levels of a namespace as SHOW NAMESPACES prints it, e.g. ``a.`b c` `` as ``("a", "b c")``.

    Raises:
        ValueError: a backtick is not closed.
    """
    parts: list[str] = []
    part, position, inside = "", 0, False
    while position < len(shown):
        character = shown[position]
        if character == "`" and inside and shown[position + 1 : position + 2] == "`":
            part, position = part + "`", position + 1
        elif character == "`":
            inside = not inside
        elif character == "." and not inside:
            parts.append(part)
            part = ""
        else:
            part += character
        position += 1
    if inside:
        msg = f"the namespace {shown!r} has an open backtick"
        raise ValueError(msg)
    return (*parts, part)


def _name(table: TableId, *metadata_table: str) -> str:
    return quoted(table.catalog, *table.namespace, table.table, *metadata_table)


def _bounded(column: str, read: HistoryRead) -> str:
    """Up to the first row from ``before`` on; a subquery was measured at a tenth more, a branch of its own at half."""
    before = f"timestamp_millis({_milliseconds(read.before)})"
    following = f"(SELECT min(made_current_at) FROM {_name(read.table, 'history')} WHERE made_current_at >= {before})"
    until = f"{column} <= coalesce({following}, {before})"
    if read.since is None:
        return until
    return f"{until} AND {column} >= timestamp_millis({_milliseconds(read.since)})"


def _milliseconds(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)
