"""The picture of table edges: what stands where, and how large it can get."""

import re
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from iomete_mc_assets.defs.lineage_graph import (
    MAX_ARROWS,
    MAX_TABLES,
    Arrow,
    picture,
    shown_part,
    svg,
)
from iomete_mc_assets.records import TableId

SVG = "{http://www.w3.org/2000/svg}"


def table(name: str, *, catalog: str = "spark_catalog") -> TableId:
    return TableId(catalog, ("db",), name)


def arrow(source: str, target: str) -> Arrow:
    return table(source), table(target)


def left_of(image: ET.Element) -> dict[str | None, int]:
    """Where each name begins."""
    return {one.text: int(one.get("x") or 0) for one in image.iter(f"{SVG}text")}


def test_what_feeds_stands_left_of_what_it_feeds() -> None:
    arrows = [arrow("a", "b"), arrow("b", "c"), arrow("a", "c")]
    image = ET.fromstring(svg(arrows, new={arrows[1]}))  # noqa: S314 - our own
    left = left_of(image)
    assert left["db.a"] < left["db.b"] < left["db.c"]
    assert [one.get("class") for one in image.findall(f"{SVG}path")] == [None, "n", None]


def test_names_of_several_catalogs_are_whole_long_ones_are_cut_and_markup_is_text() -> None:
    far, long = table("t", catalog="lake"), table("<b>&" + "x" * 40)
    names = set(left_of(ET.fromstring(svg([(far, long)], new=()))))  # noqa: S314 - our own
    assert names == {"lake.db.t", "…" + "x" * 27}
    assert "spark_catalog" not in svg([arrow("<b>&", "c")], new=())


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=120))
def test_any_edges_give_a_bounded_picture_in_which_each_table_stands_once(
    pairs: list[tuple[int, int]],
) -> None:
    """Circles too."""
    arrows = list(dict.fromkeys(arrow(f"t{a}", f"t{b}") for a, b in pairs if a != b))
    part = shown_part(arrows)
    if not part:
        return
    tables = {one for pair in part for one in pair}
    assert len(tables) <= MAX_TABLES
    assert len(part) <= MAX_ARROWS
    assert set(part) <= set(arrows)
    image = ET.fromstring(svg(part, new=()))  # noqa: S314 - our own
    assert sorted(left_of(image), key=str) == sorted(f"db.{one.table}" for one in tables)
    assert len(image.findall(f"{SVG}path")) == len(part)
    assert len(picture(part, new=set(part))) < 16_000


def test_a_picture_is_an_address_that_markdown_can_hold() -> None:
    assert re.fullmatch(
        r"!\[[^\]]*\]\(data:image/svg\+xml;base64,[A-Za-z0-9+/=]+\)",
        picture([arrow("a", "b")], new=()),
    )
