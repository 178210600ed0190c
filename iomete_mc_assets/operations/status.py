"""How far each flow has come, from the manifest store alone: newest hours, open ledgers, events without an outcome.

Writes nothing and asks neither the lakehouse, nor Monte Carlo, nor Dagster. What is shown of it is the command line's.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeVar

from iomete_mc_assets.manifests.codec import RECORD_TYPES
from iomete_mc_assets.manifests.model import Flow, Header, JsonValue
from iomete_mc_assets.manifests.receipts import SentFolder, Settled, sent_folders
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.operations.imports import FOLDER
from iomete_mc_assets.push.accounts import accounts_of
from iomete_mc_assets.push.ledger import TAKE_OVER_AFTER, Head, Log
from iomete_mc_assets.windows import HOUR, HourWindow

READERS = 8
"""Hours read at a time: in a bucket each is four requests of some 30 ms."""

A = TypeVar("A")
B = TypeVar("B")
Found = tuple[Header, dict[str, SentFolder]]
"""The manifest that speaks for an hour, and what was sent of it by destination."""

AlarmKind = Literal["not_collected", "not_pushed", "not_accepted"]
EXIT_CODES: dict[AlarmKind, int] = {"not_collected": 3, "not_pushed": 4, "not_accepted": 5}
"""Exit code of each alarm, the one to look at first being the lowest. 1 and 2 are click's: an error, a wrong usage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """One hour's manifest at one destination.

    Attributes:
        settled: its outcome; None while something of it is left untried.
        in_doubt, refused: events without an answer, and refused ones.
    """

    header: Header
    settled: Settled | None
    in_doubt: int
    refused: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLedger:
    """A plan that is open: a run is at work on it, or none is and the next push goes on.

    Attributes:
        free_at: when another run may take it over at the latest; None when nobody holds it.
    """

    window: HourWindow
    run_id: str
    free_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AtDestination:
    """One flow at one destination.

    Attributes:
        newest: the newest hour that is settled and was not superseded; None without one.
        unsettled: hours that are not settled, newest first.
        in_doubt, refused: events of all hours looked at.
    """

    destination: str
    newest: Pushed | None
    unsettled: tuple[Header, ...]
    in_doubt: int
    refused: int
    ledgers: tuple[OpenLedger, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowStatus:
    """One flow.

    Attributes:
        source: of imported files; None for what we collect ourselves.
        newest: the newest hour that was collected, whatever it says; None without one.
        hours: how many collected hours were looked at.
    """

    flow: Flow
    source: str | None
    newest: Header | None
    hours: int
    destinations: tuple[AtDestination, ...]

    @property
    def name(self) -> str:
        """For people."""
        return self.flow if self.source is None else f"imported/{self.source} {self.flow}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """What someone should look at, in one sentence with the next step."""

    kind: AlarmKind
    flow: str
    text: str


def status_of(
    store: ManifestStore,
    *,
    flows: Sequence[Flow] = tuple(RECORD_TYPES),
    destination: str | None,
    look_back: timedelta,
    now: datetime,
) -> list[FlowStatus]:
    """Look at the newest hour of each flow, and at all that ended within ``look_back``; imported ones last.

    Args:
        store: the store.
        flows: which.
        destination: id of the one that counts for what we collect; None takes every one ever pushed to.
        look_back: how far before ``now``.
        now: aware UTC.

    Raises:
        ManifestError: a file is damaged, or a newer version wrote it: nothing is told by half.
        LedgerBusy: a ledger's head cannot be read.
    """
    since = now - look_back
    found = [_flow_status(store, flow, destination=destination, since=since) for flow in flows]
    for source in store.storage.names(FOLDER):
        theirs = ManifestStore.open(f"{store.root}/{FOLDER}/{source}", source=None)
        imported = (_flow_status(theirs, flow, since=since, source=source) for flow in flows)
        found += [one for one in imported if one.hours]
    return found


def alarms_of(flows: Iterable[FlowStatus], *, late: timedelta, now: datetime) -> list[Alarm]:
    """What of a status wants a person, the most urgent kind first.

    Args:
        flows: the status.
        late: how long after its end an hour may be missing, and after its collection unsettled.
        now: aware UTC.
    """
    found: list[Alarm] = []
    for status in flows:
        if status.source is None:  # nobody knows when the next file is due
            found += _not_collected(status, late=late, now=now)
        found += _not_pushed(status, late=late, now=now)
        found += _not_accepted(status)
    return sorted(found, key=lambda alarm: EXIT_CODES[alarm.kind])


def _flow_status(
    store: ManifestStore,
    flow: Flow,
    *,
    since: datetime,
    destination: str | None = None,
    source: str | None = None,
) -> FlowStatus:
    hours = list(reversed(store.hours(flow)))
    wanted = [window for window in hours if window.end > since]
    if not wanted and source is None:
        wanted = hours[:1]

    def read(window: HourWindow) -> Found | None:
        return _found(store, flow, window)

    headers = [found for found in _each(read, wanted) if found is not None]
    known = {name for _, sent in headers for name in sent} | set(
        store.storage.names(f"{flow}/ledger")
    )
    names = sorted(known) if destination is None else [destination]
    return FlowStatus(
        flow=flow,
        source=source,
        newest=headers[0][0] if headers else None,
        hours=len(headers),
        destinations=tuple(_at(store, flow, name, headers) for name in names),
    )


def _found(store: ManifestStore, flow: Flow, window: HourWindow) -> Found | None:
    header = store.current(flow, window)
    if header is None:
        return None
    folder = store.folder(flow, window, header.manifest_id)
    return header, sent_folders(store.storage, folder)


def _each(work: Callable[[A], B], items: Sequence[A]) -> list[B]:
    with ThreadPoolExecutor(READERS, thread_name_prefix="status") as readers:
        return list(readers.map(work, items))


def _at(
    store: ManifestStore,
    flow: Flow,
    destination: str,
    headers: Sequence[Found],
) -> AtDestination:
    def read(found: Found) -> Pushed:
        header, sent = found
        return _pushed(header, sent.get(destination))

    pushed = _each(read, headers)
    went = [one for one in pushed if one.settled and one.settled.word != "superseded"]
    return AtDestination(
        destination=destination,
        newest=went[0] if went else None,
        unsettled=tuple(one.header for one in pushed if one.settled is None),
        in_doubt=sum(one.in_doubt for one in pushed),
        refused=sum(one.refused for one in pushed),
        ledgers=tuple(_ledgers(store, flow, destination, [one.header for one in pushed])),
    )


def _pushed(header: Header, sent: SentFolder | None) -> Pushed:
    settled = None if sent is None else sent.ended()
    if settled is not None:
        counts = settled.counts
        in_doubt, refused = counts.get("in_doubt", 0), counts.get("refused", 0)
        return Pushed(header=header, settled=settled, in_doubt=in_doubt, refused=refused)
    last = [] if sent is None else accounts_of(sent)[-1:]
    return Pushed(
        header=header,
        settled=None,
        in_doubt=sum(len(o.doubtful_at) for o in last),
        refused=sum(1 for o in last for refusal in o.refusals if len(refusal.ordinals) == 1),
    )


def _ledgers(
    store: ManifestStore, flow: Flow, destination: str, headers: Sequence[Header]
) -> list[OpenLedger]:
    """Open ones: a state flow has one ledger, query logs have one an hour."""
    folder = f"{flow}/ledger/{destination}"
    folders = [folder]
    if flow == "query_logs":
        there = set(store.storage.names(folder)) if headers else set[str]()
        names = [h.window.folder for h in headers if h.window.folder in there]
        folders = [f"{folder}/{name}" for name in names]

    def head(folder: str) -> Head | None:
        return Log(store.storage, folder).head()

    heads = _each(head, folders)
    return [_open_ledger(head) for head in heads if head is not None and head.open]


def _open_ledger(head: Head) -> OpenLedger:
    entry = head.entry
    held = entry.kind == "open"
    return OpenLedger(
        window=entry.window,
        run_id=entry.run_id,
        free_at=entry.deadline + TAKE_OVER_AFTER if held else None,
    )


def _not_collected(status: FlowStatus, *, late: timedelta, now: datetime) -> Iterable[Alarm]:
    hint = "Is the schedule on? Open its newest failed run in Dagster."
    if status.newest is None:
        text = f"{status.flow} was never collected into this store. {hint}"
        yield Alarm(kind="not_collected", flow=status.name, text=text)
        return
    window = status.newest.window
    if now - window.end > HOUR + late:  # the newest closed hour ended up to an hour ago
        text = (
            f"{status.flow} was last collected for hour {window.key}, which ended {_ago(now - window.end)} "
            f"ago. {hint}"
        )
        yield Alarm(kind="not_collected", flow=status.name, text=text)


def _not_pushed(status: FlowStatus, *, late: timedelta, now: datetime) -> Iterable[Alarm]:
    for at in status.destinations:
        overdue = [header for header in at.unsettled if now - header.collected_at > late]
        if overdue:
            hours = f"{len(overdue)} hours" if len(overdue) > 1 else "one hour"
            text = (
                f"{status.name}: {hours} not settled at {at.destination}, the newest of them "
                f"{overdue[0].window.key}. {_push_hint(status, overdue[0])}"
            )
            yield Alarm(kind="not_pushed", flow=status.name, text=text)
    newest = status.newest
    if not status.destinations and newest is not None and now - newest.collected_at > late:
        text = (
            f"{status.name} was collected and never pushed anywhere. {_push_hint(status, newest)}"
        )
        yield Alarm(kind="not_pushed", flow=status.name, text=text)


def _push_hint(status: FlowStatus, header: Header) -> str:
    if status.source is not None:
        return f"Open the newest failed run of import_manifests. The file: {header.reason}."
    return (
        "Is the sensor on? Open its newest failed run, or say "
        f"`iomete-mc push {status.flow} {header.window.key}`."
    )


def _not_accepted(status: FlowStatus) -> Iterable[Alarm]:
    for at in status.destinations:
        if at.in_doubt or at.refused:
            text = (
                f"{status.name} at {at.destination}: {at.in_doubt} events without an answer and "
                f"{at.refused} refused, of the hours looked at. `iomete-mc receipts` of an hour has "
                "the reasons; `iomete-mc push --force` sends such events again."
            )
            yield Alarm(kind="not_accepted", flow=status.name, text=text)


def _ago(gone: timedelta) -> str:
    minutes = int(gone.total_seconds()) // 60
    return f"{minutes // 60} h {minutes % 60:02d} min"


def as_json(
    store: ManifestStore, flows: Sequence[FlowStatus], alarms: Sequence[Alarm], *, now: datetime
) -> JsonValue:
    """For programs."""
    return {
        "store": store.root,
        "looked_at": now.isoformat(),
        "flows": [_flow_json(one) for one in flows],
        "alarms": [{"kind": one.kind, "flow": one.flow, "text": one.text} for one in alarms],
        "exit_code": exit_code(alarms),
    }


def exit_code(alarms: Sequence[Alarm]) -> int:
    """0 when nothing wants a person, else the most urgent alarm's."""
    return EXIT_CODES[alarms[0].kind] if alarms else 0


def _flow_json(status: FlowStatus) -> JsonValue:
    newest = status.newest
    return {
        "flow": status.flow,
        "source": status.source,
        "hours": status.hours,
        "newest_collected": None
        if newest is None
        else {
            "partition": newest.window.key,
            "manifest_id": newest.manifest_id,
            "state": newest.state,
            "reason": newest.reason,
            "records": newest.records,
            "collected_at": newest.collected_at.isoformat(),
        },
        "destinations": [_destination_json(at) for at in status.destinations],
    }


def _destination_json(at: AtDestination) -> JsonValue:
    newest = at.newest
    return {
        "destination": at.destination,
        "newest_pushed": None
        if newest is None or newest.settled is None
        else {
            "partition": newest.header.window.key,
            "status": newest.settled.word,
            "settled_at": newest.settled.settled_at.isoformat(),
            "invocation_ids": list(newest.settled.invocation_ids),
        },
        "unsettled": [header.window.key for header in at.unsettled],
        "in_doubt": at.in_doubt,
        "refused": at.refused,
        "open_ledgers": [
            {
                "partition": one.window.key,
                "run_id": one.run_id,
                "free_at": one.free_at.isoformat() if one.free_at else None,
            }
            for one in at.ledgers
        ],
    }
