"""A small picture of table edges, as SVG that the UI shows: left feeds right. Which edges is decided in ``previews``."""

import base64
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape

from iomete_mc_assets.records import TableId

Arrow = tuple[TableId, TableId]

MAX_TABLES = 24
MAX_ARROWS = 60
"""Every event is JSON in Dagster's database: at these sizes a picture takes some 10 kB."""
_BOX_WIDTH, _BOX_HEIGHT = 190, 22
_COLUMN, _ROW, _MARGIN = 270, 34, 12
_LETTERS = 28
_STYLE = (
    "text{font:12px sans-serif;fill:#1b1f24}rect{fill:#f2f5f9;stroke:#8a94a3}"
    "path{fill:none;stroke:#8a94a3}.n{stroke:#0b7a45;stroke-width:2}"
)


def shown_part(arrows: Sequence[Arrow]) -> list[Arrow]:
    """As many of the arrows, in their order, as a small picture can hold."""
    tables: set[TableId] = set()
    part: list[Arrow] = []
    for arrow in arrows:
        if len(tables | set(arrow)) <= MAX_TABLES and len(part) < MAX_ARROWS:
            tables |= set(arrow)
            part.append(arrow)
    return part


def picture(arrows: Sequence[Arrow], *, new: Collection[Arrow]) -> str:
    """Markdown of an image that holds itself; new arrows are green.

    The UI's sanitizer lets images through whose address is ``data:``; it renders no SVG and no Mermaid in the text.
    """
    image = base64.b64encode(svg(arrows, new=new).encode()).decode()
    return f"![left feeds right](data:image/svg+xml;base64,{image})"


def svg(arrows: Sequence[Arrow], *, new: Collection[Arrow]) -> str:
    """The picture itself."""
    columns = _columns(arrows)
    places = {
        table: (_MARGIN + at * _COLUMN, _MARGIN + row * _ROW)
        for at, column in enumerate(columns)
        for row, table in enumerate(column)
    }
    width = 2 * _MARGIN + (len(columns) - 1) * _COLUMN + _BOX_WIDTH
    height = 2 * _MARGIN + (max(map(len, columns)) - 1) * _ROW + _BOX_HEIGHT
    one_catalog = len({table.catalog for table in places}) == 1
    drawn = [
        *(_drawn_arrow(places[a], places[b], new=(a, b) in new) for a, b in arrows),
        *(_drawn_box(table, at, short=one_catalog) for table, at in places.items()),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        '<marker id="h" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8" style="stroke:#57606c"/></marker>'
        f"<style>{_STYLE}</style>"
        f'<rect width="{width}" height="{height}" style="fill:#fff;stroke:none"/>{"".join(drawn)}</svg>'
    )


def _columns(arrows: Sequence[Arrow]) -> list[list[TableId]]:
    """Tables by how far they are from those that nothing feeds; in a column each beside what feeds it."""
    fed_by: dict[TableId, set[TableId]] = defaultdict(set)
    for source, target in arrows:
        fed_by[target].add(source)
    depths = _depths(dict.fromkeys(table for arrow in arrows for table in arrow), fed_by)
    columns: list[list[TableId]] = [[] for _ in range(max(depths.values()) + 1)]
    for table, depth in depths.items():
        columns[depth].append(table)
    rows: dict[TableId, float] = {}
    for column in columns:
        column.sort(key=lambda table: (_middle(fed_by[table], rows), table.shown))
        rows |= {table: float(row) for row, table in enumerate(column)}
    return columns


def _depths(
    tables: Iterable[TableId], fed_by: Mapping[TableId, Collection[TableId]]
) -> dict[TableId, int]:
    """The longest way from the left; a circle is cut where it closes."""
    depths: dict[TableId, int] = {}

    def depth_of(table: TableId, above: frozenset[TableId]) -> int:
        if table not in depths:
            on_the_way = above | {table}
            sources = sorted(set(fed_by.get(table, ())) - on_the_way)
            depths[table] = 1 + max((depth_of(one, on_the_way) for one in sources), default=-1)
        return depths[table]

    for table in tables:
        depth_of(table, frozenset())
    return depths


def _middle(sources: Collection[TableId], rows: Mapping[TableId, float]) -> float:
    known = [rows[one] for one in sources if one in rows]
    return sum(known) / len(known) if known else 0.0


def _drawn_arrow(source: tuple[int, int], target: tuple[int, int], *, new: bool) -> str:
    x1, y1 = source[0] + _BOX_WIDTH, source[1] + _BOX_HEIGHT // 2
    x2, y2 = target[0], target[1] + _BOX_HEIGHT // 2
    bend = max(abs(x2 - x1) // 2, 40)
    mark = ' class="n"' if new else ""
    return f'<path{mark} marker-end="url(#h)" d="M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"/>'


def _drawn_box(table: TableId, at: tuple[int, int], *, short: bool) -> str:
    name = ".".join((*table.namespace, table.table)) if short else table.shown
    cut = name if len(name) <= _LETTERS else "…" + name[1 - _LETTERS :]
    x, y = at
    return (
        f'<rect x="{x}" y="{y}" width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}" rx="4"/>'
        f'<text x="{x + 7}" y="{y + 15}">{escape(cut)}</text>'
    )
