"""Event by event: what the gateway accepted against the manifests' records and the ledger's receipts.

Every event must belong to one receipt and say what its record says; every record without a receipt
must have a reason in the ledger, and the reason must be true of what the gateway has. On purpose the
events are put together here, without the product's own code.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from iomete_mc_assets.cli.demo_manifests import (
    Json,
    Manifest,
    Sending,
    instant,
    shown_name,
    shown_table,
)
from iomete_mc_assets.sandbox.gateway_records import AcceptedEvent
from iomete_mc_assets.windows import HourWindow

ENDS = ("source", "target")
TOO_OLD_AFTER = timedelta(hours=3)
"""The setting's default, which the demo leaves alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventProof:
    """What one flow's comparison found.

    Attributes:
        compared: events at the gateway that were held against their record.
        unsent: records without an event, by the ledger's reason.
    """

    compared: int
    unsent: Mapping[str, int]
    differences: tuple[str, ...]


def compare(
    manifests: Sequence[Manifest],
    windows: Iterable[HourWindow],
    accepted: Sequence[AcceptedEvent],
    *,
    kinds: Mapping[str, str] | None = None,
) -> EventProof:
    """Compare one flow.

    Args:
        manifests: all of the flow, oldest hour first.
        windows: hours that must be settled.
        accepted: the flow's events at the gateway, in order of arrival.
        kinds: ``table`` or ``view`` by the shown name of each table that the gateway knows; for lineage.
    """
    received = _Received(accepted, kinds or {})
    must_settle = set(windows)
    differences: list[str] = []
    for manifest in manifests:
        for sending in manifest.sendings:
            differences += _sent(manifest, sending, received)
            differences += _not_sent(manifest, sending, manifests, received)
        settled = any(sending.settled is not None for sending in manifest.sendings)
        if manifest.speaks and manifest.window in must_settle and not settled:
            differences.append(f"{manifest.shown}: the ledger says nothing final of it")
    spoken = {manifest.window for manifest in manifests if manifest.speaks}
    differences += [f"{hour.key}: no manifest" for hour in sorted(must_settle - spoken)]
    differences += received.without_receipt()
    return EventProof(
        compared=received.claimed, unsent=received.unsent, differences=tuple(differences)
    )


class _Received:
    """A flow's events at the gateway, by request and by what they are about.

    Attributes:
        claimed: events of requests that have a receipt.
        unsent: records that have none, by the ledger's reason.
        kinds: of the tables that the gateway knows.
    """

    def __init__(self, accepted: Iterable[AcceptedEvent], kinds: Mapping[str, str]) -> None:
        self.kinds = kinds
        self._by_request: defaultdict[str, list[AcceptedEvent]] = defaultdict(list)
        self._about: defaultdict[str, list[AcceptedEvent]] = defaultdict(list)
        self._claims: Counter[str] = Counter()
        self.claimed = 0
        self.unsent: Counter[str] = Counter()
        for event in accepted:
            self._by_request[event.invocation_id].append(event)
            self._about[about(event.content)].append(event)

    def expected(self, flow: str, record: Json) -> Json:
        """The event that a record makes."""
        return _edge(record, self.kinds) if flow == "lineage" else EXPECTED[flow](record)

    def claim(self, invocation_id: str) -> list[AcceptedEvent]:
        """The events of a request for which there is a receipt."""
        self._claims[invocation_id] += 1
        events = self._by_request.get(invocation_id, [])
        self.claimed += len(events)
        return events

    def without_receipt(self) -> list[str]:
        """Requests that no receipt knows, or several."""
        return [
            f"request {invocation_id}: {len(events)} events at the gateway, "
            f"{self._claims[invocation_id]} receipts"
            for invocation_id, events in self._by_request.items()
            if self._claims[invocation_id] != 1
        ]

    def before(self, key: str, at: datetime) -> list[AcceptedEvent]:
        """Events about one table or query that had arrived at an instant."""
        return [event for event in self._about.get(key, ()) if event.received_at <= at]


def about(content: Mapping[str, Any]) -> str:
    """What an event is about: the query's id, the table's name at Monte Carlo, or both ends of an edge."""
    if "query_id" in content:
        return str(content["query_id"])
    if "destination" in content:
        return json.dumps(content, sort_keys=True)
    named = content["relational_asset"]["metadata"]
    return f"{named['database']}.{named['schema']}.{named['name']}"


def _sent(manifest: Manifest, sending: Sending, received: _Received) -> Iterator[str]:
    """Differences between the requests that have receipts and their records, one by one."""
    records = (*manifest.records, *sending.carried)
    for invocation_id, positions in sending.receipts:
        events = received.claim(invocation_id)
        if len(events) != len(positions):
            yield (
                f"{manifest.shown}: the receipt of {invocation_id} is for {len(positions)} events, "
                f"the gateway has {len(events)}"
            )
            continue
        for position, event in zip(positions, events, strict=True):
            expected = received.expected(manifest.flow, records[position])
            got = with_instants(event.content)
            if got != expected and not _freshness_left_out(expected, event, received):
                yield f"{manifest.shown} record {position}: expected {expected}, gateway has {got}"


def _freshness_left_out(expected: Json, event: AcceptedEvent, received: _Received) -> bool:
    """Whether only the freshness is missing, because the gateway knew a later one."""
    asset = dict(expected.get("relational_asset", {}))
    freshness = asset.pop("freshness", None)
    if freshness is None or with_instants(event.content) != {"relational_asset": asset}:
        return False
    earlier = received.before(about(event.content), event.received_at)
    told = [with_instants(one.content)["relational_asset"].get("freshness") for one in earlier]
    return any(one and one["last_update_time"] > freshness["last_update_time"] for one in told)


# Records that did not go


def _not_sent(
    manifest: Manifest, sending: Sending, manifests: Sequence[Manifest], received: _Received
) -> Iterator[str]:
    """Differences between the ledger's reasons and the truth."""
    settled = sending.settled
    if settled is None:
        return
    fates = _fates(manifest, sending, settled)
    if fates is None:
        yield f"{manifest.shown}: {len(manifest.records)} records, and the ledger counts {settled['counts']}"
        return
    at = sending.planned_at or instant(settled["settled_at"])
    records = (*manifest.records, *sending.carried)
    for position, status in fates.items():
        received.unsent[status] += 1
        record = records[position]
        if status == "superseded":
            true = _superseded(manifest, settled, manifests)
        elif status == "too_old":
            true = instant(settled["settled_at"]) - manifest.window.end > TOO_OLD_AFTER
        else:
            true = _true(status, record, at, received.expected(manifest.flow, record), received)
        if not true:
            yield f"{manifest.shown} record {position} was not sent as {status}, which is not so: {record}"


def _fates(manifest: Manifest, sending: Sending, settled: Json) -> dict[int, str] | None:
    """The ledger's reason for each record without a receipt; None where its counts do not add up.

    It lists what is remarkable by name, and counts the rest, of which only one kind may be left.
    """
    counts = Counter[str](settled["counts"])
    went = {position for _, positions in sending.receipts for position in positions}
    counts["accepted"] -= len(went)
    listed = {one["about"]: one["status"] for one in settled["left_out_sample"]}
    fates: dict[int, str] = {}
    records = (*manifest.records, *sending.carried)
    for position, record in enumerate(records):
        if position in went:
            continue
        status = listed.get(record.get("query_id") or shown_name(record))
        if status is None and counts["indirect"] > 0 and record.get("kind") == "indirect":
            status = "indirect"
        if status is None and counts["carried"] > 0 and record.get("carried_from") is not None:
            status = "carried"
        if status is not None:
            counts[status] -= 1
            fates[position] = status
    rest = [p for p in range(len(records)) if p not in went and p not in fates]
    left = {status: count for status, count in counts.items() if count}
    if "accepted" in left or ([len(rest)] != list(left.values()) and (rest or left)):
        return None
    return {**fates, **dict.fromkeys(rest, next(iter(left), ""))}


def _superseded(manifest: Manifest, settled: Json, manifests: Sequence[Manifest]) -> bool:
    """Whether what took its place exists, is known, and is newer."""
    newer: Json = settled["superseded_by"] or {}
    return any(
        other.manifest_id == newer.get("manifest_id")
        and other.header["state"] != "unknown"
        and other.window >= manifest.window
        and other is not manifest
        for other in manifests
    )


def _true(status: str, record: Json, at: datetime, expected: Json, received: _Received) -> bool:
    """Whether a reason agrees with what the gateway had when the ledger decided."""
    earlier = received.before(about(expected), at)
    match status:
        case "accepted_before" if "carried_from" in record:
            return bool(earlier)
        case "accepted_before":
            return any(with_instants(event.content) == expected for event in earlier)
        case "clock_hour_taken":
            return any(HourWindow.holding(at).holds(event.received_at) for event in earlier)
        case "pending" | "name_taken":
            return any(shown_table(record[end]) not in received.kinds for end in ENDS)
        case _:
            return _true_by_itself(status, record, expected)


def _true_by_itself(status: str, record: Json, expected: Json) -> bool:
    match status:
        case "carried":
            return record["carried_from"] is not None
        case "indirect":
            return record["kind"] == "indirect"
        case "nothing_known":
            return not expected["relational_asset"].keys() & {"volume", "freshness"}
        case _:
            return False  # an honest gateway and a whole catalog give no other reason


# What an event must say


def _edge(record: Json, kinds: Mapping[str, str]) -> Json:
    columns = record["source_column"] is not None
    source, target = (
        {
            "type": kinds.get(shown_table(record[end]), "").upper(),
            **_named(record[end]),
            **({"asset_id": _full_id(record[end])} if columns else {}),
        }
        for end in ENDS
    )
    edge: Json = {"destination": target, "sources": [source]}
    if columns:
        fed = {"asset_id": source["asset_id"], "field_name": record["source_column"]}
        edge["fields"] = [{"name": record["target_column"], "source_fields": [fed]}]
    return edge


def _full_id(table: Json) -> str:
    return "{database}:{schema}.{name}".format(**_named(table))


def _table(record: Json) -> Json:
    """The guide's name for a record's table."""
    return _named(record["table"])


def _named(table: Json) -> Json:
    return {
        "database": ".".join(table["namespace"]),
        "schema": "default",
        "name": table["table"],
    }


def _catalog_entry(record: Json) -> Json:
    state: Json = record["state"] or {}
    created: str | None = state.get("created_at")
    asset: Json = {
        "type": record["kind"].upper(),
        "metadata": {
            **_table(record),
            **_known(description=record["comment"] or None, view_query=record["view_text"] or None),
            **_known(created_on=created and instant(created)),
        },
    }
    if record["columns"]:
        asset["fields"] = [
            {"name": c["name"], "type": c["type"], **_known(description=_comments(c) or None)}
            for c in record["columns"]
        ]
    return {"relational_asset": asset}


def _comments(column: Json) -> str:
    """Its own, then those of the fields inside it."""
    inside = [f"{path}: {comment}" for path, comment in column["field_comments"]]
    return "\n".join([column["comment"], *inside] if column["comment"] else inside)


def _observation(record: Json) -> Json:
    asset: Json = {"type": "TABLE", "metadata": _table(record)}
    volume = _known(row_count=record["row_count"], byte_count=record["byte_count"])
    changed = record["last_data_change"]
    if volume:
        asset["volume"] = volume
    if changed is not None:
        asset["freshness"] = {"last_update_time": instant(changed)}
    return {"relational_asset": asset}


def _query(record: Json) -> Json:
    failed = None if record["status"] in (None, "succeeded") else record["status"].upper()
    extra = {"end_time_estimated": True} if record["end_estimated"] else None
    return {
        "start_time": instant(record["started_at"]),
        "end_time": instant(record["ended_at"]),
        "query_text": record["text"],
        "query_id": record["query_id"],
        **_known(user=record["user"], error_code=record["error_code"] or failed),
        **_known(error_text=record["error_text"], returned_rows=record["returned_rows"]),
        **_known(extra=extra),
    }


EXPECTED: Mapping[str, Callable[[Json], Json]] = {
    "catalog_snapshot": _catalog_entry,
    "observations": _observation,
    "query_logs": _query,
}

INSTANTS = ("created_on", "last_update_time", "start_time", "end_time")


def _known(**parts: object) -> Json:
    return {name: value for name, value in parts.items() if value is not None}


def with_instants(content: Mapping[str, Any]) -> Json:
    """An event with its times as instants, whose spelling is the sender's."""
    return {
        name: instant(value)
        if name in INSTANTS
        else with_instants(cast("Json", value))
        if isinstance(value, dict)
        else value
        for name, value in content.items()
    }
