"""From the parts of a name in SQL to the table it means, as Spark resolves it. Knows no CTEs and no temporary views."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from iomete_mc_assets.collectors.lineage.model import SESSION_CATALOG, Place, TableKey

METADATA_TABLES = frozenset(
    {
        *("snapshots", "files", "history", "manifests", "partitions", "entries", "refs"),
        *("metadata_log_entries", "all_data_files", "all_files", "all_delete_files", "changes"),
        *("all_manifests", "all_entries", "data_files", "delete_files", "position_deletes"),
    }
)
"""Iceberg's, as last part of a name (SparkCatalog and MetadataTableType, 1.9)."""
REFERENCE = re.compile(r"(branch|tag|snapshot_id|at_timestamp)_.+", re.DOTALL)
FILE_FORMATS = frozenset({"parquet", "csv", "json", "orc", "delta", "text", "avro", "binaryfile"})
_THREE = ("catalog", "namespace", "table")
_QUOTED_PART = re.compile(r"`((?:[^`]|``)*)`|([^.`]+)")


@dataclass(frozen=True, slots=True)
class Named:
    """A table that a name means; ``metadata``: not its rows but Iceberg's metadata of it."""

    key: TableKey
    metadata: bool = False


def table_named(
    parts: Sequence[str],
    place: Place,
    *,
    catalogs: frozenset[str],
    known: Callable[[TableKey], bool],
) -> Named | None:
    """The table of a folded name; None where the current database would have to be known.

    A branch or tag is the table itself.
    """
    metadata = parts[-1] in METADATA_TABLES
    if len(parts) >= len(_THREE) and (metadata or REFERENCE.fullmatch(parts[-1])):
        whole, base = absolute(parts, place, catalogs), absolute(parts[:-1], place, catalogs)
        if base is not None and _is_of(parts, catalogs, whole=whole, base=base, known=known):
            return Named(base, metadata=metadata)
    key = absolute(parts, place, catalogs)
    return None if key is None else Named(key)


def _is_of(
    parts: Sequence[str],
    catalogs: frozenset[str],
    *,
    whole: TableKey | None,
    base: TableKey,
    known: Callable[[TableKey], bool],
) -> bool:
    """Whether the last part belongs to the table before it, and is no table of that name itself."""
    if whole is not None and known(whole):
        return False
    return len(parts) > len(_THREE) or known(base) or parts[0] not in catalogs


def absolute(parts: Sequence[str], place: Place, catalogs: frozenset[str]) -> TableKey | None:
    """Catalog, namespace and table of a name."""
    if len(parts) == 1:
        return None if place.namespace is None else (place.catalog, *place.namespace, *parts)
    if parts[0] in catalogs:
        return tuple(parts)
    # the session catalog's namespaces have one level: a third part can only be another catalog
    if len(parts) >= len(_THREE) and place.catalog == SESSION_CATALOG:
        return tuple(parts)
    return (place.catalog, *parts)


def used(parts: Sequence[str], place: Place, catalogs: frozenset[str]) -> Place:
    """Where ``USE parts`` leads."""
    if parts[0] in catalogs:
        return Place(parts[0], tuple(parts[1:]) or default_namespace(parts[0]))
    if len(parts) > 1 and place.catalog == SESSION_CATALOG:
        return Place(parts[0], tuple(parts[1:]))
    return Place(place.catalog, tuple(parts))


def default_namespace(catalog: str) -> tuple[str, ...]:
    """Where ``USE catalog`` leads: other catalogs than Spark's own begin at their root."""
    return ("default",) if catalog == SESSION_CATALOG else ()


def is_file(parts: Sequence[str]) -> bool:
    """Whether a name is Spark's ``format.`path```."""
    form, *path = parts
    return form in FILE_FORMATS and len(path) == 1 and ("/" in path[0] or "." in path[0])


def parts_of(text: str) -> list[str]:
    """The parts of a dotted name in a string, quoting undone, case kept."""
    return [
        (quoted or bare).replace("``", "`") for quoted, bare in _QUOTED_PART.findall(text.strip())
    ]
