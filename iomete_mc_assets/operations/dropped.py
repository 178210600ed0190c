"""Tables that Monte Carlo still shows and the lakehouse has dropped: which they are, and deleting them there.

Believed only after two complete catalogs without them, and only of tables that this store's pushes brought.
"""

import secrets
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from iomete_mc_assets.collectors.exclusions import Exclusions
from iomete_mc_assets.errors import ApiUnavailable, ControlPlaneError, ManifestMissing
from iomete_mc_assets.manifests.deletions import DELETIONS, VERSION, DeletedTable, Deletion
from iomete_mc_assets.manifests.model import Flow, Header
from iomete_mc_assets.manifests.receipts import SentFolder
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.montecarlo import answered, documents
from iomete_mc_assets.montecarlo.answered import ShownTable, ask
from iomete_mc_assets.montecarlo.control_plane import Api
from iomete_mc_assets.montecarlo.naming import Naming
from iomete_mc_assets.push.candidates import table_of
from iomete_mc_assets.push.config import Destination

SURVEYS = 2
"""Complete catalogs that must lack a table: one alone may have missed it."""
CATALOG_AGE = timedelta(days=1)
"""Since the newest one's hour; an older one knows nothing of tables that came back."""
MAX_DELETED = 1_000
"""MCONs in a call. Source: Monte Carlo's schema."""
METADATA_FLOWS: tuple[Flow, ...] = ("catalog_snapshot", "observations")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """What Monte Carlo shows and the lakehouse has not.

    Attributes:
        catalogs: the complete ones that were believed, newest first.
        tables: of databases that have other tables still.
        vanished: by database: all of its tables are gone, as after a lost grant.
        left_out: of databases that have other tables still, and left out of catalogs by today's patterns.
        foreign: pushed by somebody else, or under another naming; never deleted here.
    """

    catalogs: tuple[Header, ...]
    tables: tuple[ShownTable, ...]
    vanished: Mapping[str, tuple[ShownTable, ...]]
    left_out: tuple[ShownTable, ...]
    foreign: tuple[ShownTable, ...]


def database_of(full_table_id: str) -> str:
    """``sales:default`` of ``sales:default.orders``."""
    return full_table_id.rpartition(".")[0]


def dropped(
    api: Api,
    store: ManifestStore,
    destination: Destination,
    naming: Naming,
    *,
    exclusions: Exclusions,
    now: datetime,
) -> Dropped:
    """Compare; changes nothing.

    Raises:
        ManifestMissing: fewer than two complete catalogs, or none of the last day.
        ManifestError: a file is damaged, or a newer version wrote it.
        ControlPlaneError: as ``Api.ask``.
    """
    catalogs, present = _present(store, naming, now=now)
    databases = {database_of(key) for key in present}
    gone = [
        table
        for table in answered.tables(api, destination.resource_uuid)
        if table.pushed and table.key not in present
    ]
    wanted = {table.invocation_id for table in gone if table.invocation_id is not None}
    ours = _ours(store, destination, wanted)
    tables: list[ShownTable] = []
    left_out: list[ShownTable] = []
    vanished: defaultdict[str, list[ShownTable]] = defaultdict(list)
    for table in sorted(gone, key=lambda table: table.key):
        if table.invocation_id not in ours:
            continue
        if database_of(table.key) not in databases:
            vanished[database_of(table.full_table_id)].append(table)
        elif any(exclusions.of_table(one) for one in naming.tables_of(table.key)):
            left_out.append(table)
        else:
            tables.append(table)
    return Dropped(
        catalogs=catalogs,
        tables=tuple(tables),
        vanished={database: tuple(every) for database, every in vanished.items()},
        left_out=tuple(left_out),
        foreign=tuple(table for table in gone if table.invocation_id not in ours),
    )


def _present(
    store: ManifestStore, naming: Naming, *, now: datetime
) -> tuple[tuple[Header, ...], frozenset[str]]:
    """The newest complete catalogs, and every key that they or a newer partial one have."""
    complete: list[Header] = []
    keys: set[str] = set()
    for window in reversed(store.hours("catalog_snapshot")):
        header = store.current("catalog_snapshot", window)
        if header is None or not header.known:
            continue
        keys.update(naming.of(table_of(one)).key for one in store.records(header))
        if header.state == "complete":
            complete.append(header)
        if len(complete) == SURVEYS:
            break
    if len(complete) < SURVEYS or now - complete[0].window.end > CATALOG_AGE:
        newest = f"the newest of {complete[0].window.key}" if complete else "none at all"
        msg = (
            f"Nothing is believed to be dropped: it takes {SURVEYS} complete catalogs, the newest at most a day "
            f"old, and {store.root} has {len(complete)} among its newest ({newest}). Collect iomete/catalog_snapshot."
        )
        raise ManifestMissing(msg)
    return tuple(complete), frozenset(keys)


def _ours(store: ManifestStore, destination: Destination, wanted: set[str]) -> set[str]:
    """Those of the invocation ids that this store's pushes were given; reads back only as far as needed."""
    found: set[str] = set()
    left = set(wanted)
    for flow in METADATA_FLOWS:
        for window in reversed(store.hours(flow)):
            if not left:
                return found
            for manifest_id in store.manifest_ids(flow, window):
                folder = f"{store.folder(flow, window, manifest_id)}/sent/{destination.id}"
                known = left.intersection(_invocations(SentFolder(store.storage, folder)))
                found |= known
                left -= known
    return found


def _invocations(sent: SentFolder) -> Iterator[str]:
    settled = sent.ended()
    if settled is not None:
        yield from settled.invocation_ids
        return
    for generation in sent.generations():
        yield from (receipt.invocation_id for receipt in generation.receipts())


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """What became of it.

    Attributes:
        gone: no longer shown.
        still_shown: shown afterwards.
    """

    gone: tuple[ShownTable, ...]
    still_shown: tuple[ShownTable, ...]


def delete(
    api: Api,
    store: ManifestStore,
    warehouse: str,
    tables: Sequence[ShownTable],
    *,
    now: datetime,
) -> Deleted:
    """Delete tables at Monte Carlo, at most 1,000 a call, and look whether they are gone.

    Each call is on record in the store before it is made, and its answer at once. A call whose outcome is unknown ends the
    calls; looking tells what it did.

    Raises:
        ControlPlaneError: refused, or Monte Carlo cannot be asked what is left; says how many were deleted.
    """
    calls = [tables[at : at + MAX_DELETED] for at in range(0, len(tables), MAX_DELETED)]
    made: dict[str, Deletion] = {}
    try:
        for number, call in enumerate(calls):
            name = f"{now:%Y-%m-%dT%H%M%S}-{number:03d}-{secrets.token_hex(4)}"
            made[name] = _asked(api, store, warehouse, call, name=name, now=now)
            if made[name].deleted is None:
                break
        shown = {table.mcon for table in answered.tables(api, warehouse)}
    except ControlPlaneError as error:
        if not made:
            raise
        confirmed = sum(one.deleted or 0 for one in made.values())
        msg = (
            f"{error} Before that Monte Carlo was asked to delete {sum(len(one.tables) for one in made.values())} of "
            f"{len(tables)} tables and confirmed {confirmed}, on record in {store.root}/{DELETIONS.folder}. "
            "`iomete-mc tables dropped` lists what is left."
        )
        raise ControlPlaneError(msg) from error
    for name, deletion in made.items():
        left = tuple(one.full_table_id for one in deletion.tables if one.mcon in shown)
        DELETIONS.write(store.storage, name, replace(deletion, still_shown=left))
    return Deleted(
        gone=tuple(table for table in tables if table.mcon not in shown),
        still_shown=tuple(table for table in tables if table.mcon in shown),
    )


def _asked(
    api: Api,
    store: ManifestStore,
    warehouse: str,
    call: Sequence[ShownTable],
    *,
    name: str,
    now: datetime,
) -> Deletion:
    """One call as it is on record; ``deleted`` is None where nobody knows."""
    asked = Deletion(
        schema_version=VERSION,
        warehouse=warehouse,
        asked_at=now,
        tables=tuple(
            DeletedTable(full_table_id=table.full_table_id, mcon=table.mcon) for table in call
        ),
    )
    DELETIONS.write(store.storage, name, asked)
    try:
        answer = ask(api, documents.DROP_TABLES, m=[table.mcon for table in call])
    except ControlPlaneError as error:
        told = replace(asked, problem=str(error))
        DELETIONS.write(store.storage, name, told)
        if isinstance(error, ApiUnavailable) and error.unknown:
            return told
        raise
    count = answer.node("deletePushIngestedTables").number("deletedCount")
    done = replace(asked, deleted=int(count))
    DELETIONS.write(store.storage, name, done)
    return done
