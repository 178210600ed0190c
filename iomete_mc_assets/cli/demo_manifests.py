"""Manifests and what lies beside them, as the demo's proof reads them: gzip and JSON, on purpose none of the store's code."""

import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from iomete_mc_assets.windows import HourWindow

Json = dict[str, Any]

_RECEIPT = re.compile(r"\d{9}-\d{9}\.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """What the ledger says of one manifest at one destination.

    Attributes:
        receipts: each accepted request's invocation id, and the positions of its records.
        planned_at: of the last plan; None without one.
        settled: the outcome; None while something is left untried.
        carried: edges of earlier hours that went with the manifest's own; their positions follow its records'.
    """

    receipts: tuple[tuple[str, tuple[int, ...]], ...]
    planned_at: datetime | None
    settled: Json | None
    carried: tuple[Json, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One manifest.

    Attributes:
        speaks: whether the hour's pointer names it.
    """

    flow: str
    window: HourWindow
    manifest_id: str
    header: Json
    records: tuple[Json, ...]
    speaks: bool
    sendings: tuple[Sending, ...]

    @property
    def shown(self) -> str:
        """For people."""
        return f"{self.flow} {self.window.key} {self.manifest_id}"

    @property
    def omitted(self) -> frozenset[str]:
        """Tables and databases that it says it knows nothing of."""
        return frozenset(omission["scope"] for omission in self.header["omissions"]["sample"])


def manifests_of(root: Path, flow: str) -> list[Manifest]:
    """Every manifest of a flow in a store on local disk, oldest hour first."""
    return [
        manifest
        for hour in sorted((root / flow).glob("????-??-??-??"))
        for manifest in _of_hour(flow, hour)
    ]


def _of_hour(flow: str, hour: Path) -> Iterator[Manifest]:
    speaks = json.loads((hour / "current.json").read_text())["manifest_id"]
    for file in sorted(hour.glob("*/manifest.json")):
        header = json.loads(file.read_text())
        lines = (
            line
            for part in header["parts"]
            for line in gzip.decompress((file.parent / part["file"]).read_bytes()).splitlines()
        )
        yield Manifest(
            flow=flow,
            window=HourWindow.from_folder(hour.name),
            manifest_id=file.parent.name,
            header=header,
            records=tuple(json.loads(line) for line in lines),
            speaks=file.parent.name == speaks,
            sendings=tuple(map(_sending, sorted((file.parent / "sent").glob("*")))),
        )


def _sending(folder: Path) -> Sending:
    receipts = [
        json.loads(file.read_text())
        for file in sorted(folder.rglob("*.json"))
        if _RECEIPT.fullmatch(file.name)
    ]
    plans = [json.loads(file.read_text()) for file in folder.rglob("plan.json")]
    settled, carried = folder / "settled.json", folder / "carried.json"
    edges = json.loads(carried.read_text())["edges"] if carried.exists() else ()
    return Sending(
        receipts=tuple((receipt["invocation_id"], _positions(receipt)) for receipt in receipts),
        planned_at=max((instant(plan["planned_at"]) for plan in plans), default=None),
        settled=json.loads(settled.read_text()) if settled.exists() else None,
        carried=tuple(edges),
    )


def _positions(receipt: Json) -> tuple[int, ...]:
    return tuple(
        position
        for first, last in receipt["ordinals"]["runs"]
        for position in range(first, last + 1)
    )


def instant(text: str) -> datetime:
    """An instant as the manifests and Monte Carlo's events write it."""
    return datetime.fromisoformat(text)


def shown_name(record: Json) -> str:
    """The name of a record's table as omissions spell it; of an edge what it connects."""
    if "source_column" in record:
        ends = ("source", "target")
        return " to ".join(
            ".".join(filter(None, (shown_table(record[end]), record[f"{end}_column"])))
            for end in ends
        )
    return shown_table(record["table"])


def shown_table(table: Json) -> str:
    """A table's name as omissions spell it."""
    return ".".join((table["catalog"], *table["namespace"], table["table"]))
