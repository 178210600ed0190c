"""What was sent of one manifest to one destination: plan, receipts, refusals, doubts, the settled outcome.

Files only ever appear (but a run's own doubts grow or go, and a new outcome replaces the last one); when to write which is decided in
``push``. Layout and rules: ledger.md, section C.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from operator import itemgetter
from typing import Literal, TypeVar

from iomete_mc_assets.manifests.codec import JsonFile
from iomete_mc_assets.manifests.storage import Storage
from iomete_mc_assets.records import LineageEdge
from iomete_mc_assets.windows import HourWindow

T = TypeVar("T")

SENT_VERSION = 1
SETTLED_VERSION = 2
DOUBTS_VERSION = 2
CARRIED_VERSION = 1
LEFT_OUT_SAMPLE = 50
"""Records left out that a plan lists; all are counted."""

Status = Literal[
    "accepted",
    "accepted_before",
    "refused",
    "superseded",
    "too_old",
    "clock_hour_taken",
    "in_doubt",
    "no_catalog_entry",
    "pending",
    "carried",
    "nothing_known",
    "name_taken",
    "duplicate",
    "not_chosen",
    "pruned",
    "indirect",
]
"""What became of one record. ``carried``: state of an earlier hour, never sent. ``nothing_known``: an
observation without volume and freshness. ``name_taken``: another table has its name at Monte Carlo.
``duplicate``: a second record of one key. ``pruned``: of an hour of query logs whose records were
removed, so nobody can say what of it was accepted. ``pending``: an edge between tables of which one has
no accepted catalog entry yet, or a very new one; a later hour sends it. ``indirect``: a column that only
decides another's value, which is not lineage at Monte Carlo. ``not_chosen``: a push by
hand was of another table."""

Force = Literal["refused", "in_doubt", "all"]
"""What a person has sent again although it had an end: ``all`` is everything of the hour."""

Word = Literal["pushed", "nothing_to_send", "superseded", "partly_refused", "refused", "in_doubt"]
"""An hour's outcome in a word, from best to worst."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordinals:
    """Positions of records in their manifest, ascending, from 0.

    Attributes:
        runs: first and last of each stretch of neighbours.
    """

    runs: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, ascending: Iterable[int]) -> "Ordinals":
        """From single positions in ascending order."""
        each = list(ascending)
        if each and each[-1] - each[0] == len(each) - 1:  # as nearly always: neighbours all
            return cls(runs=((each[0], each[-1]),))
        runs: list[tuple[int, int]] = []
        for ordinal in each:
            if runs and ordinal == runs[-1][1] + 1:
                runs[-1] = (runs[-1][0], ordinal)
            else:
                runs.append((ordinal, ordinal))
        return cls(runs=tuple(runs))

    @classmethod
    def joined(cls, pieces: "Iterable[Ordinals]") -> "Ordinals":
        """All of several; neighbours become one stretch."""
        runs: list[tuple[int, int]] = []
        for first, last in sorted(run for piece in pieces for run in piece.runs):
            if runs and first <= runs[-1][1] + 1:
                runs[-1] = (runs[-1][0], max(last, runs[-1][1]))
            else:
                runs.append((first, last))
        return cls(runs=tuple(runs))

    def __contains__(self, ordinal: int) -> bool:
        place = bisect_right(self.runs, ordinal, key=itemgetter(0))
        return place > 0 and ordinal <= self.runs[place - 1][1]

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(range(first, last + 1) for first, last in self.runs)

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.runs)

    @property
    def hull(self) -> str:
        """First and last position, as files are named: pieces of one plan never overlap, and sort."""
        return f"{self.runs[0][0]:09d}-{self.runs[-1][1]:09d}"

    def without(self, others: Sequence["Ordinals"]) -> "Ordinals":
        """What is left when others are taken away."""
        if self in others:  # as nearly always: a batch and its receipt
            return NO_ORDINALS
        gone = Ordinals.joined(others).runs
        return Ordinals(runs=tuple(_left(self.runs, gone))) if gone else self

    def common(self, other: "Ordinals") -> "Ordinals":
        """What lies in both."""
        return self.without([self.without([other])])

    def halves(self) -> "tuple[Ordinals, Ordinals]":
        """Two pieces of equal length, the first one longer by one if need be."""
        each = list(self)
        middle = (len(each) + 1) // 2
        return Ordinals.of(each[:middle]), Ordinals.of(each[middle:])


NO_ORDINALS = Ordinals(runs=())


def _left(
    runs: Iterable[tuple[int, int]], gone: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    """What of the stretches lies in none of those that are gone; both ascend."""
    place = 0
    for first, last in runs:
        while place < len(gone) and gone[place][1] < first:
            place += 1
        start, at = first, place
        while at < len(gone) and gone[at][0] <= last:
            if start < gone[at][0]:
                yield start, gone[at][0] - 1
            start, at = gone[at][1] + 1, at + 1
        if start <= last:
            yield start, last


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedBatch:
    """One request to be.

    Attributes:
        events: how many, at least 1.
        bytes: of its body.
        digest: hex SHA-256 over the digests of its events in order.
    """

    ordinals: Ordinals
    events: int
    bytes: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A record that no batch holds, and why, for people."""

    about: str
    status: Status
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be sent, and with which settings; read, never made again, by whoever resumes.

    Attributes:
        generation: from 1; a later one plans what the earlier ones did not get accepted.
        run_id: the run that planned.
        planned_at: the instant that decided what is too late, too old or taken.
        max_events, max_body_bytes, resource_type, log_type: settings used.
        left_out: records in no batch, by status; those accepted in earlier generations are not in it.
        notes: events that do not say all, by note.
    """

    schema_version: int
    manifest_id: str
    generation: int
    run_id: str
    planned_at: datetime
    max_events: int
    max_body_bytes: int
    resource_type: str
    log_type: str
    batches: tuple[PlannedBatch, ...]
    left_out: Mapping[str, int]
    left_out_sample: tuple[LeftOut, ...]
    notes: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Monte Carlo's answer to an accepted piece of a plan.

    Attributes:
        attempts: posts of it in this run, the accepted one included.
    """

    schema_version: int
    ordinals: Ordinals
    invocation_id: str
    accepted_at: datetime
    attempts: int
    bytes: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A piece whose content was refused: these bytes are not posted again.

    Attributes:
        status: the HTTP status; 413 for a single event that is too large.
        details: the server's, as JSON text of at most 2,000 characters; None without.
    """

    schema_version: int
    ordinals: Ordinals
    status: int
    details: str | None
    refused_at: datetime
    attempts: int
    bytes: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A piece that was sent without an answer.

    Attributes:
        sends: how often in that run.
    """

    ordinals: Ordinals
    sends: int
    last_at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubts:
    """What one run sent without an answer, and what answers it kept to itself.

    Attributes:
        sending: the run has begun to send and has not come to an end: if it is dead, up to four
            pieces without a receipt were in flight.
        held: single events refused before anything was accepted, which is no end while the run may
            still find that it looks like configuration; if it is dead, it is one.
        posting: parts of refused batches under way, which are tried out of the plan's order; None in
            files of older versions, which do not tell.
    """

    schema_version: int
    run_id: str
    sending: bool
    pieces: tuple[Doubt, ...]
    held: tuple[Refusal, ...] = ()
    posting: tuple[Ordinals, ...] | None = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Superseding:
    """What took an hour's place; its invocation ids as far as they were known then."""

    window: HourWindow
    manifest_id: str
    invocation_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """The end of a manifest's push: nothing of it is left untried.

    Attributes:
        reason: in words, where nothing was sent, or something is to be said of the plan; else None.
        counts: records by status; their sum is the manifest's number of records.
        invocation_ids: in the order of batches.
        batches: requests that were accepted.
        sent_bytes: in accepted requests.
        attempts: posts in all, over all runs.
        refusals: the first of them, for people.
        forcing: number of a forced generation that has not ended; all else is the outcome before it.
            None where there is none.
    """

    schema_version: int
    window: HourWindow
    manifest_id: str
    word: Word
    reason: str | None
    counts: Mapping[str, int]
    notes: Mapping[str, int]
    left_out_sample: tuple[LeftOut, ...]
    invocation_ids: tuple[str, ...]
    batches: int
    sent_bytes: int
    attempts: int
    refusals: tuple[Refusal, ...]
    superseded_by: Superseding | None
    settled_at: datetime
    run_id: str
    forcing: int | None = None

    @property
    def ended(self) -> bool:
        """Whether it stands: no forced generation is on its way to another."""
        return self.forcing is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """Edges that only earlier hours have seen, and that a manifest of lineage brings to Monte Carlo besides its own.

    Their ordinals follow those of the manifest's records, in every generation.
    """

    schema_version: int
    edges: tuple[LineageEdge, ...]


def _file(kind: type[T]) -> JsonFile[T]:
    return JsonFile(kind, version_field="schema_version", version=SENT_VERSION)


_PLAN = _file(Plan)
_RECEIPT = _file(Receipt)
_REFUSAL = _file(Refusal)
_DOUBTS = JsonFile(
    Doubts,
    version_field="schema_version",
    version=DOUBTS_VERSION,
    older={1: {"held": [], "posting": None}},
)
_SETTLED = JsonFile(
    Settled, version_field="schema_version", version=SETTLED_VERSION, older={1: {"forcing": None}}
)
_CARRIED = JsonFile(Carried, version_field="schema_version", version=CARRIED_VERSION)
_GENERATION = re.compile(r"g(\d{4})(?:-([A-Za-z0-9_.-]{1,128}))?")
_RECEIPT_NAME = re.compile(r"\d{9}-\d{9}\.json")
_RUN_ID = re.compile(r"[A-Za-z0-9_.-]{1,128}")


class SentFolder:
    """The files of one manifest at one destination.

    Attributes:
        folder: relative to the store's root.
    """

    def __init__(self, storage: Storage, folder: str) -> None:
        self._storage = storage
        self.folder = folder

    def settled(self) -> Settled | None:
        """The outcome; None while there is none. It wins over whatever else lies here."""
        return _read(self._storage, f"{self.folder}/settled.json", _SETTLED)

    def settle(self, settled: Settled) -> None:
        """Write the outcome, last of all files."""
        self._storage.write(f"{self.folder}/settled.json", _SETTLED.encode(settled))

    def ended(self) -> Settled | None:
        """The outcome; None while there is none, and while a forced generation has not ended."""
        settled = self.settled()
        return settled if settled is not None and settled.ended else None

    def reopen(self, number: int) -> None:
        """A forced generation follows: the outcome stands until the one after it, which counts all."""
        settled = self.settled()
        if settled is not None:
            self.settle(replace(settled, schema_version=SETTLED_VERSION, forcing=number))

    def carried(self) -> Carried | None:
        """What a plan of lineage brings along; None where there is nothing, or no plan yet."""
        return _read(self._storage, f"{self.folder}/carried.json", _CARRIED)

    def write_carried(self, carried: Carried) -> None:
        """Write it, before the first plan."""
        self._storage.write(f"{self.folder}/carried.json", _CARRIED.encode(carried))

    def generations(self) -> list["Generation"]:
        """Those that exist, ascending; the first one counts only once something lies in it."""
        names = self._storage.names(self.folder)
        found = [
            self.generation(int(match[1]), forced_by=match[2])
            for name in names
            if (match := _GENERATION.fullmatch(name))
        ]
        beside = ("settled.json", "carried.json")
        if any(name.endswith(".json") for name in names if name not in beside):
            found.append(self.generation(1))
        return sorted(found, key=lambda generation: generation.number)

    def after(self, generation: "Generation") -> "Generation":
        """The generation in place of one whose plan is outdated, forced like it."""
        return self.generation(generation.number + 1, forced_by=generation.forced_by)

    def generation(self, number: int, *, forced_by: str | None = None) -> "Generation":
        """A generation, whether it exists or not.

        Args:
            number: from 1.
            forced_by: root run id of the forced push that made it; None for any other.

        Raises:
            ValueError: the run id cannot name a folder.
        """
        inside = self.folder if number == 1 else f"{self.folder}/g{number:04d}"
        if forced_by is not None:
            inside = f"{self.folder}/g{number:04d}-{_checked_run_id(forced_by)}"
        return Generation(self._storage, inside, number, forced_by=forced_by)


def sent_folders(storage: Storage, manifest_folder: str) -> dict[str, SentFolder]:
    """What was sent of a manifest, by destination; empty when it was never pushed."""
    folder = f"{manifest_folder}/sent"
    return {name: SentFolder(storage, f"{folder}/{name}") for name in storage.names(folder)}


class Generation:
    """The files of one plan.

    Attributes:
        number: from 1.
        forced_by: root run id of the forced push that made it; None for any other.
    """

    def __init__(
        self, storage: Storage, folder: str, number: int, *, forced_by: str | None = None
    ) -> None:
        self._storage = storage
        self._folder = folder
        self.number = number
        self.forced_by = forced_by

    def plan(self) -> Plan | None:
        """The plan; None while there is none."""
        return _read(self._storage, f"{self._folder}/plan.json", _PLAN)

    def write_plan(self, plan: Plan) -> None:
        """Write it, before the first request."""
        self._storage.write(f"{self._folder}/plan.json", _PLAN.encode(plan))

    def receipts(self) -> list[Receipt]:
        """All of them, in plan order."""
        names = (name for name in self._names() if _RECEIPT_NAME.fullmatch(name))
        return [self._present(name, _RECEIPT) for name in names]

    def write_receipt(self, receipt: Receipt) -> None:
        """Write it, before its connection's next request."""
        path = f"{self._folder}/{receipt.ordinals.hull}.json"
        self._storage.write(path, _RECEIPT.encode(receipt))

    def refusals(self) -> list[Refusal]:
        """All of them, in plan order."""
        names = (name for name in self._names() if name.startswith("refused-"))
        return [self._present(name, _REFUSAL) for name in names]

    def write_refusal(self, refusal: Refusal) -> None:
        """Write it; its bytes are not posted again."""
        path = f"{self._folder}/refused-{refusal.ordinals.hull}.json"
        self._storage.write(path, _REFUSAL.encode(refusal))

    def doubts(self) -> list[Doubts]:
        """Of each run that began to send."""
        names = (name for name in self._names() if name.startswith("doubt-"))
        return [self._present(name, _DOUBTS) for name in names]

    def write_doubts(self, doubts: Doubts) -> None:
        """Write or replace a run's own."""
        self._storage.write(self._doubts_path(doubts.run_id), _DOUBTS.encode(doubts))

    def remove_doubts(self, run_id: str) -> None:
        """Remove a run's own, which says that it has sent nothing without an answer."""
        self._storage.remove(self._doubts_path(run_id))

    def untaken(self) -> bool:
        """Whether nobody can have taken anything of it: no receipt, and nothing sent without an answer."""
        return not self.receipts() and not any(run.sending or run.pieces for run in self.doubts())

    def _doubts_path(self, run_id: str) -> str:
        return f"{self._folder}/doubt-{_checked_run_id(run_id)}.json"

    def _names(self) -> list[str]:
        return [name for name in self._storage.names(self._folder) if name.endswith(".json")]

    def _present(self, name: str, form: JsonFile[T]) -> T:
        path = f"{self._folder}/{name}"
        return form.decode(self._storage.read(path), where=f"{self._storage.root}/{path}")


def _checked_run_id(run_id: str) -> str:
    if not _RUN_ID.fullmatch(run_id):
        msg = f"{run_id[:140]!r} cannot name a file; a run id is letters, digits, '-', '_', '.'"
        raise ValueError(msg)
    return run_id


def _read(storage: Storage, path: str, form: JsonFile[T]) -> T | None:
    try:
        data = storage.read(path)
    except FileNotFoundError:
        return None
    return form.decode(data, where=f"{storage.root}/{path}")
