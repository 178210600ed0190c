"""SHOW CREATE TABLE as Spark renders it, from columns whose comments were written to be misread."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iomete_mc_assets.records import Column
from iomete_mc_assets.warehouse.create_statement import TRIED_AT_MOST, with_nested_fields
from iomete_mc_assets.warehouse.schema import field_name


@dataclass(frozen=True, slots=True)
class Field:
    """A column or a field; a kind in capitals is a simple type, others hold the fields below."""

    name: str
    kind: str
    below: tuple["Field", ...] = ()
    required: bool = False
    comment: str | None = None

    def sql(self, *, comments: bool = True) -> str:
        """The type, with its fields' comments as Spark prints them or without any as we have it."""
        if self.kind == "STRUCT":
            inner = (
                f"{field_name(f.name)}: {f.sql(comments=comments)}{f.marks() if comments else ''}"
                for f in self.below
            )
            return f"STRUCT<{', '.join(inner)}>"
        if self.kind in ("ARRAY", "MAP"):
            return f"{self.kind}<{', '.join(f.sql(comments=comments) for f in self.below)}>"
        return self.kind

    def plain(self) -> str:
        """The type as DESCRIBE prints it."""
        if self.kind == "STRUCT":
            return f"struct<{','.join(f'{f.name}:{f.plain()}' for f in self.below)}>"
        if self.kind in ("ARRAY", "MAP"):
            return f"{self.kind.lower()}<{','.join(f.plain() for f in self.below)}>"
        return self.kind.lower()

    def marks(self) -> str:
        """Spark escapes quotes and nothing else. Source: StructField.getDDLComment of Spark 3.5."""
        null = " NOT NULL" if self.required else ""
        if self.comment is None:
            return null
        escaped = self.comment.replace("'", "\\'")
        return f"{null} COMMENT '{escaped}'"

    def comments(self) -> Iterator[tuple[str, str]]:
        """Those inside, by path."""
        parts = {"ARRAY": ("element",), "MAP": ("key", "value")}.get(self.kind)
        for number, field in enumerate(self.below):
            path = field_name(field.name) if parts is None else parts[number]
            if parts is None and field.comment:
                yield path, field.comment
            yield from ((f"{path}.{inner}", said) for inner, said in field.comments())


def statement(columns: Sequence[Field]) -> str:
    shown = ",\n  ".join(f"{field_name(c.name)} {c.sql()}{c.marks()}" for c in columns)
    return f"CREATE TABLE lake.a.t (\n  {shown})\nUSING iceberg\nTBLPROPERTIES (\n  'a' = ')\n')\n"


def read(columns: Sequence[Field], said: str) -> tuple[Column, ...] | None:
    """As DESCRIBE tells of the columns, with what the statement adds."""
    described = [Column(name=c.name, type="?", comment=c.comment or None) for c in columns]
    return with_nested_fields(described, [c.plain() for c in columns], said)


def true(columns: Sequence[Field]) -> tuple[Column, ...]:
    return tuple(
        Column(
            name=c.name,
            type=c.sql(comments=False),
            required=c.required,
            comment=c.comment or None,
            field_comments=tuple(c.comments()),
        )
        for c in columns
    )


names = st.text("aB1 `,:<>'\\", min_size=1, max_size=4)
hostile = st.text("\\',<>`\n:", max_size=6) | st.sampled_from(
    [
        "it's",
        "ends with \\",
        "\\'",
        ", b: INT COMMENT ",
        "x', b: INT COMMENT 'y",
        "\\', `b`: INT>",
        "'>,\n  b INT COMMENT 'z",
        ")\nUSING iceberg",
        " NOT NULL COMMENT ''",
    ]
)
comments = st.none() | hostile
leaves = st.builds(
    Field,
    names,
    st.sampled_from(["INT", "STRING", "DECIMAL(38,10)", "TIMESTAMP_NTZ"]),
    required=st.booleans(),
    comment=comments,
)


def nested(inner: st.SearchStrategy[Field]) -> st.SearchStrategy[Field]:
    below = {
        "STRUCT": st.lists(inner, max_size=4),
        "ARRAY": st.lists(inner, min_size=1, max_size=1),
        "MAP": st.lists(inner, min_size=2, max_size=2),
    }
    return st.sampled_from(tuple(below)).flatmap(
        lambda kind: st.builds(
            Field, names, st.just(kind), below[kind].map(tuple), st.booleans(), comment=comments
        )
    )


tables = st.lists(st.recursive(leaves, nested, max_leaves=6), max_size=4)


@given(tables)
def test_comments_and_names_of_any_text_are_read_as_written_or_not_at_all(
    columns: Sequence[Field],
) -> None:
    found = read(columns, statement(columns))
    assert found in (true(columns), None)
    backslashes = any("\\'" in text for c in columns for text in _texts(c))
    if not backslashes:
        assert found is not None


def _texts(field: Field) -> Iterator[str]:
    """What may pass for an escaped quote, which is where a statement can have several readings."""
    yield f"{field.comment or ''}'"
    for below in field.below:
        yield from _texts(below)


@pytest.mark.parametrize("said", ["", "it's", "ends with \\", "\\", "\\'", "a \\', b", "', '"])
def test_no_single_comment_costs_the_fields(said: str) -> None:
    inner = Field("In", "STRING", comment=said)
    for columns in (
        [Field("s", "STRUCT", (inner, Field("b C", "INT")))],
        [Field("s", "STRUCT", (Field("b C", "INT"), inner)), Field("x", "INT", comment=said)],
        [Field("id", "INT", required=True, comment=said), Field("s", "STRUCT", (inner, inner))],
    ):
        assert read(columns, statement(columns)) == true(columns)


def test_a_statement_with_two_readings_tells_nothing() -> None:
    """The first comment ends at its backslash, or where the second begins, whose text then ends the columns."""
    first = Field("a", "INT", comment="\\")
    second = Field("b", "INT", comment=", b: INT>)\n")
    columns = [Field("s", "STRUCT", (first, second))]
    other = [
        Field("s", "STRUCT", (Field("a", "INT", comment="', b: INT COMMENT "), Field("b", "INT")))
    ]
    assert statement(columns).startswith(statement(other).partition(")\n")[0])
    assert read(columns, statement(columns)) is None
    assert read(other, statement(other)) == true(other)


@pytest.mark.parametrize(("quotes", "told"), [(TRIED_AT_MOST // 10, True), (TRIED_AT_MOST, False)])
def test_a_statement_with_more_readings_than_are_tried_tells_nothing(
    quotes: int, *, told: bool
) -> None:
    columns = [Field("s", "STRUCT", (Field("a", "INT", comment="'" * quotes),))]
    assert read(columns, statement(columns)) == (true(columns) if told else None)


def test_a_struct_of_many_fields_and_quotes_is_read() -> None:
    fields = tuple(Field(f"f{n}", "INT", comment="it's 'so' \\") for n in range(2_000))
    columns = [Field("s", "STRUCT", fields)]
    assert read(columns, statement(columns)) == true(columns)
