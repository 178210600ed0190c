from datetime import UTC, datetime
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iomete_mc_assets.records import TableId
from iomete_mc_assets.warehouse import statements
from iomete_mc_assets.warehouse.statements import (
    TAG,
    HistoryRead,
    literal,
    name_patterns,
    quoted,
    tagged,
)
from iomete_mc_assets_tests.strategies import identifiers, table_ids


def identifier_parts(text: str) -> list[str]:
    """Reads back what Spark's lexer sees: parts in backticks, a doubled one inside meaning itself."""
    parts: list[str] = []
    position = 0
    while position < len(text):
        assert text[position] == "`", text
        position, part = position + 1, ""
        while text[position : position + 1] != "`" or text[position : position + 2] == "``":
            part += text[position]
            position += 2 if text[position] == "`" else 1
        parts.append(part)
        position += 1
        assert text[position : position + 1] in {"", "."}
        position += 1
    return parts


def unescaped(text: str) -> str:
    """Reads a Spark string literal back: backslash escapes, and four hex digits after ``\\u``."""
    assert text[0] == text[-1] == "'"
    inside, out, position = text[1:-1], "", 0
    while position < len(inside):
        if inside[position] != "\\":
            assert inside[position] != "'"
            out, position = out + inside[position], position + 1
        elif inside[position + 1] == "u":
            out, position = out + chr(int(inside[position + 2 : position + 6], 16)), position + 6
        else:
            out, position = out + inside[position + 1], position + 2
    return out


@given(st.lists(identifiers, min_size=1, max_size=4))
def test_quoted_parts_are_read_back_as_they_were(parts: list[str]) -> None:
    assert identifier_parts(quoted(*parts)) == parts


@given(st.text(max_size=40))
def test_a_literal_is_read_back_as_it_was(text: str) -> None:
    assert unescaped(literal(text)) == text


@given(st.text(max_size=40))
def test_a_literal_holds_nothing_that_spark_would_substitute(text: str) -> None:
    assert "${" not in literal(text)


@given(st.lists(identifiers, min_size=1, max_size=3))
def test_a_namespace_is_read_back_as_spark_prints_it(parts: list[str]) -> None:
    assert statements.namespace_parts(quoted(*parts)) == tuple(parts)


def test_a_plain_namespace_needs_no_backticks() -> None:
    assert statements.namespace_parts("h4ns.`In ner`") == ("h4ns", "In ner")


def test_a_namespace_with_an_open_backtick_is_refused() -> None:
    with pytest.raises(ValueError, match="open backtick"):
        statements.namespace_parts("a.`b")


def test_every_statement_begins_with_the_tag_once() -> None:
    table = TableId("c", ("d",), "t")
    for text in (
        statements.use_catalog("c"),
        statements.show_namespaces("c"),
        statements.describe_namespace("c", ("d",)),
        statements.show_tables("c", ("d",)),
        statements.show_views("c", ("d",)),
        statements.show_table_extended("c", ("d",)),
        statements.describe_table(table),
        statements.show_table_properties(table),
        statements.metadata_logs([table]),
        statements.current_snapshots(["s3a://bucket/t/metadata/00000-a.metadata.json"]),
        statements.named_snapshots([(table, {1})]),
        statements.older_snapshots([(table, datetime(2026, 11, 21, tzinfo=UTC))]),
        statements.history_and_snapshots(
            [HistoryRead(table=table, since=None, before=datetime(2026, 11, 21, tzinfo=UTC))]
        ),
    ):
        assert text.startswith(f"{TAG} ")
        assert tagged(text) == text


@given(table_ids)
def test_a_history_read_bounds_both_tables_and_names_them_by_number(table: TableId) -> None:
    since, before = datetime(2026, 11, 21, 5, tzinfo=UTC), datetime(2026, 11, 21, 6, tzinfo=UTC)
    text = statements.history_and_snapshots([HistoryRead(table=table, since=since, before=before)])
    name = quoted(table.catalog, *table.namespace, table.table)
    for metadata_table, column in (("history", "made_current_at"), ("snapshots", "committed_at")):
        assert (
            f"FROM {name}.`{metadata_table}` WHERE {column} <= coalesce((SELECT min(made_current_at) "
            f"FROM {name}.`history` WHERE made_current_at >= timestamp_millis(1795240800000)), "
            f"timestamp_millis(1795240800000)) AND {column} >= timestamp_millis(1795237200000)"
        ) in text


table_names = st.text(alphabet="ab_1", min_size=1, max_size=5)


@given(names=st.sets(table_names, max_size=40), at_most=st.integers(1, 8))
def test_patterns_match_every_name_once_and_few_enough_at_a_time(
    names: set[str], at_most: int
) -> None:
    patterns = name_patterns(names, at_most=at_most)
    matched = [
        [name for name in names if any(fnmatchcase(name, one) for one in pattern.split("|"))]
        for pattern in patterns
    ]
    assert sorted(name for some in matched for name in some) == sorted(names)
    assert all(len(some) <= at_most for some in matched)
    assert len(names) > at_most or patterns == ["*"]
