"""What one partition says: the draft a collector hands over and the header that stands on disk.

Files and bytes live in ``store`` and ``codec``; records in ``iomete_mc_assets.records``.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from iomete_mc_assets.records import Change, ChangeKind, Omission, OmissionKind, Record
from iomete_mc_assets.windows import HourWindow

Flow = Literal["catalog_snapshot", "observations", "query_logs", "lineage"]
State = Literal["complete", "partial", "unknown"]
"""``unknown``: nobody can know this hour any more; such a manifest has no records."""

SCHEMA_VERSION = 4
"""Version 1 had no ``changes``; up to 2, catalog entries had ``properties`` and columns no ``field_comments``; up
to 3, queries had no ``plan``."""
MAX_RECORDS_PER_PART = 10_000
OMISSION_SAMPLE = 50
"""Omissions listed in a header; all are counted."""
CHANGE_SAMPLE = 50
"""Changes listed in a header; all are counted."""

JsonValue = str | int | float | bool | None | list["JsonValue"] | dict[str, "JsonValue"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Which lakehouse a store belongs to. Holds no credentials.

    Attributes:
        host: host and port and path of the address, e.g. ``lake.example:443/data-plane/p/lakehouse/c``.
        catalogs: as configured.
    """

    host: str
    catalogs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """What collected: the flow's collector and its statements' version."""

    name: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a catalog lists differently from an earlier hour's: all counted, a bounded sample listed.

    Attributes:
        since: that hour; None where there was none to compare with, and then nothing is claimed.
        reason: why nothing, or not everything, was compared; None when everything was.
        counts: every kind, those without a change as 0; empty where nothing was compared.
    """

    since: HourWindow | None
    reason: str | None = None
    counts: Mapping[ChangeKind, int] = field(default_factory=dict[ChangeKind, int])
    sample: tuple[Change, ...] = ()

    @property
    def total(self) -> int:
        """How many there are in all."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a collector knows once its last record is out.

    Attributes:
        reason: one sentence for people; None only when complete.
        counts: figures by name, e.g. ``tables``, ``excluded: temporary view``; numbers only.
        omissions: all of them.
        collector_state: what the next hour's collector needs.
        changes: catalog snapshots that say something; None for everything else.
    """

    state: State
    reason: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    omissions: tuple[Omission, ...] = ()
    collector_state: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    changes: Changes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One hour as a collector hands it over.

    Attributes:
        records: consumed once, in order, possibly while a source is still being read.
        verdict: called once after the records are exhausted.
        inputs: manifest ids read, by role: ``catalog_from``, ``carried_from``, ``compared_with``.
    """

    flow: Flow
    window: HourWindow
    collected_at: datetime
    collector: Collector
    records: Iterable[Record]
    verdict: Callable[[], Verdict]
    inputs: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One gzip file of JSON lines.

    Attributes:
        records: lines in it, 1 to 10,000.
        sha256: hex digest of the file's bytes as stored.
    """

    file: str
    records: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Omissions:
    """All omissions counted, a bounded sample listed."""

    counts: Mapping[OmissionKind, int]
    sample: tuple[Omission, ...]

    @property
    def total(self) -> int:
        """How many there are in all."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """``manifest.json``: everything about one manifest but its records.

    Attributes:
        content_digest: hex; the sum of the records' SHA-256 over canonical JSON, modulo 2**256,
            so the order of records does not matter.
        counts: the verdict's, and the figures that the store took of the records (``figures``).
        changes: catalog snapshots that say something; None for everything else.
    """

    schema_version: int
    flow: Flow
    window: HourWindow
    manifest_id: str
    state: State
    reason: str | None
    collected_at: datetime
    collector: Collector
    source: Source
    counts: Mapping[str, int]
    omissions: Omissions
    parts: tuple[Part, ...]
    content_digest: str
    inputs: Mapping[str, str]
    collector_state: Mapping[str, JsonValue]
    changes: Changes | None

    @property
    def known(self) -> bool:
        """Whether it says anything: complete or partial."""
        return self.state != "unknown"

    @property
    def records(self) -> int:
        """Records in all parts."""
        return sum(part.records for part in self.parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What ``ManifestStore.write`` did.

    Attributes:
        header: of the manifest that now speaks for the hour.
        kept: nothing was written, because the hour's existing manifest says the same or more.
        why: the reason in words when kept, else None.
    """

    header: Header
    kept: bool
    why: str | None = None
