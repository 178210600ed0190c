"""The numbered log of a flow at a destination: what has been accepted, and who is at work. Sends nothing.

Entries are only ever created, exclusively: whoever makes number n holds the flow until a later entry
says otherwise. Rules 21 and 22 of ledger.md.
"""

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from iomete_mc_assets.errors import LedgerBusy, ManifestError
from iomete_mc_assets.manifests.codec import JsonFile
from iomete_mc_assets.manifests.model import JsonValue
from iomete_mc_assets.manifests.receipts import Word
from iomete_mc_assets.manifests.storage import Storage
from iomete_mc_assets.windows import HourWindow

LOG_VERSION = 1
TAKE_OVER_AFTER = timedelta(minutes=10)
"""After an unknown run's deadline: its last request has long ended, its clock may differ from ours."""

State = Mapping[str, JsonValue]
"""Accepted state by key; what an entry holds is the flow's own affair."""

Kind = Literal["open", "left", "closed"]
"""``open``: a run is at work on a plan. ``left``: the plan is open and nobody is at work.
``closed``: no plan is open, and the entry holds the whole accepted state."""

TRIED: tuple[Word, ...] = ("pushed", "nothing_to_send", "partly_refused", "refused", "in_doubt")
"""Words of plans that were sent to their end; others were closed because something took their place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who pushes.

    Attributes:
        root_run_id: the first of a chain of retries; the run itself when it is no retry.
        is_finished: whether a run of that id is known and has ended.
    """

    run_id: str
    root_run_id: str
    is_finished: Callable[[str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of the log.

    Attributes:
        window, manifest_id: whose plan.
        generation: the first one planned under this opening.
        deadline: the run starts no request from then on.
        nonce: makes every entry's bytes its own.
        state_from: number of the newest closed entry below; None before the first.
        word: how a closed plan ended; None else.
        accepted: the whole accepted state; empty unless closed.
    """

    schema_version: int
    kind: Kind
    window: HourWindow
    manifest_id: str
    generation: int
    run_id: str
    root_run_id: str
    deadline: datetime
    nonce: str
    state_from: int | None
    word: str | None
    accepted: Mapping[str, JsonValue]


_ENTRY = JsonFile(Entry, version_field="schema_version", version=LOG_VERSION)
_NAME = re.compile(r"(\d{12})\.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The newest entry and its number."""

    number: int
    entry: Entry

    @property
    def open(self) -> bool:
        """Whether a plan is open."""
        return self.entry.kind != "closed"

    def is_for(self, window: HourWindow, manifest_id: str) -> bool:
        """Whether that manifest's plan is the open one."""
        entry = self.entry
        return self.open and (entry.window, entry.manifest_id) == (window, manifest_id)

    def finished(self, window: HourWindow, manifest_id: str) -> bool:
        """Whether that manifest's plan was the last to be closed, with everything of it tried."""
        entry = self.entry
        tried = entry.kind == "closed" and entry.word in TRIED
        return tried and (entry.window, entry.manifest_id) == (window, manifest_id)


class Log:
    """The log in one folder."""

    def __init__(self, storage: Storage, folder: str) -> None:
        self._storage = storage
        self._folder = folder

    def head(self) -> Head | None:
        """The newest entry; None in an empty log.

        Raises:
            LedgerBusy: it cannot be read or is of a newer version; that is never "empty".
        """
        names = self._storage.names(self._folder)
        numbers = [int(match[1]) for name in names if (match := _NAME.fullmatch(name))]
        return Head(number=max(numbers), entry=self._entry(max(numbers))) if numbers else None

    def state(self, head: Head | None) -> State:
        """The accepted state as of a head.

        Raises:
            LedgerBusy: the entry that holds it cannot be read.
        """
        if head is None:
            return {}
        if head.entry.kind == "closed":
            return head.entry.accepted
        below = head.entry.state_from
        return {} if below is None else self._entry(below).accepted

    def append(self, after: Head | None, entry: Entry) -> Head:
        """Make the entry that follows ``after``.

        Raises:
            LedgerBusy: another one made it first.
        """
        number = 1 if after is None else after.number + 1
        if not self._storage.create(self._path(number), _ENTRY.encode(entry)):
            msg = (
                f"Another push wrote {self._path(number)} first, so it holds this flow's ledger at "
                "this destination. Nothing more is sent here; it is asked for again later."
            )
            raise LedgerBusy(msg)
        return Head(number=number, entry=entry)

    def _entry(self, number: int) -> Entry:
        path = self._path(number)
        where = f"{self._storage.root}/{path}"
        try:
            return _ENTRY.decode(self._storage.read(path), where=where)
        except (ManifestError, FileNotFoundError) as error:
            msg = (
                f"The ledger entry {where} cannot be read ({error}), so nobody knows what was "
                "accepted and nothing is sent. Restore the file, or upgrade what reads it."
            )
            raise LedgerBusy(msg) from error

    def _path(self, number: int) -> str:
        return f"{self._folder}/{number:012d}.json"


def refuse_if_held(head: Head | None, owner: Owner, *, now: datetime) -> None:
    """Raise unless the log is free, or its holder is this run, its predecessor, or gone.

    Raises:
        LedgerBusy: another run is at work, or may be.
    """
    if head is None or head.entry.kind != "open":
        return
    entry = head.entry
    if owner.root_run_id == entry.root_run_id or owner.is_finished(entry.run_id):
        return
    free_at = entry.deadline + TAKE_OVER_AFTER
    if now < free_at:
        msg = (
            f"Run {entry.run_id} is pushing hour {entry.window.key} here, so nothing is sent now. It "
            f"is asked for again later; if that run is gone, from {free_at.isoformat()} on."
        )
        raise LedgerBusy(msg)


def opened(
    head: Head | None,
    owner: Owner,
    *,
    window: HourWindow,
    manifest_id: str,
    generation: int,
    deadline: datetime,
) -> Entry:
    """The entry that opens a manifest's plan after ``head``."""
    state_from = None
    if head is not None:
        state_from = head.number if head.entry.kind == "closed" else head.entry.state_from
    return Entry(
        schema_version=LOG_VERSION,
        kind="open",
        window=window,
        manifest_id=manifest_id,
        generation=generation,
        run_id=owner.run_id,
        root_run_id=owner.root_run_id,
        deadline=deadline,
        nonce=secrets.token_hex(8),
        state_from=state_from,
        word=None,
        accepted={},
    )
