"""Manifests on disk: written whole or not at all, found by hour and id, read back only if undamaged.

Bytes of single objects live in ``storage``, JSON in ``codec``, what was sent of a manifest in ``receipts``.
"""

import hashlib
import re
import secrets
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain, islice
from typing import Protocol, get_args

from isal import isal_zlib

from iomete_mc_assets.errors import ManifestError, ManifestMissing, ManifestPruned, WrongStore
from iomete_mc_assets.manifests import codec
from iomete_mc_assets.manifests.figures import Figures
from iomete_mc_assets.manifests.model import (
    MAX_RECORDS_PER_PART,
    OMISSION_SAMPLE,
    SCHEMA_VERSION,
    Draft,
    Flow,
    Header,
    Omissions,
    Part,
    Source,
    Verdict,
    Written,
)
from iomete_mc_assets.manifests.storage import Storage, Unwritten
from iomete_mc_assets.records import Omission, OmissionKind, Record
from iomete_mc_assets.windows import HourWindow

STORE_FORMAT = 1
MAX_PART_BYTES = 32 * 1024 * 1024
"""JSON bytes after which a part is closed early: statements of 100 kB each must not fill the memory."""
GZIP_LEVEL = 1
"""Measured on 1 kB queries: 10 microseconds a record and 298 bytes; level 6 takes 45 for 232 bytes."""

_STORE_FILE = "store.json"
_POINTER_FILE = "current.json"
_HEADER_FILE = "manifest.json"
_PRUNED_FILE = "pruned.json"
_MANIFEST_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_PACKED_PIECE_BYTES = 16 * 1024
_GZIP_WBITS = 31
"""zlib's code for a gzip container; it writes no file name and time 0, so equal lines are equal bytes."""

Line = tuple[bytes, str]
"""A record's line as it stands on disk, and its file for messages."""


class ManifestStore:
    """All manifests of one lakehouse under one root.

    Attributes:
        store_id: random, made with the store; events name it.
        root: the full address, for people.
        storage: the bytes below; ``receipts`` keeps its files there too.
    """

    def __init__(self, storage: Storage, *, store_id: str, source: Source | None) -> None:
        """Use ``ManifestStore.open``."""
        self.storage = storage
        self.store_id = store_id
        self.root = storage.root
        self._source = source

    def unwritten(self) -> "ManifestStore":
        """The same store for looking ahead: what is written to it is seen there, and never lies in this one."""
        return ManifestStore(Unwritten(self.storage), store_id=self.store_id, source=self._source)

    @classmethod
    def open(cls, root: str, *, source: Source | None) -> "ManifestStore":
        """The store at a local path or an fsspec address; made if it is not there.

        The host alone says whether it is the same lakehouse: the list of catalogs may change, and
        each header names its own. A store without a single hour goes to the lakehouse that asks.

        Args:
            root: e.g. ``./manifests`` or ``s3://bucket/prefix``.
            source: the lakehouse that is written about; None opens for reading only.

        Raises:
            ManifestMissing: no store is there, and none is made for a reader, or in no bucket.
            WrongStore: it holds hours of another lakehouse.
            UnknownSchemaVersion: a newer version of this package made it.
            ManifestDamaged: ``store.json`` is not what this package writes.
            SettingsError: the address cannot be opened.
        """
        return cls.over(Storage.open(root), source=source)

    @classmethod
    def over(cls, storage: Storage, *, source: Source | None) -> "ManifestStore":
        """As ``open``, over a storage that is open already."""
        where = f"{storage.root}/{_STORE_FILE}"
        try:
            data = storage.read(_STORE_FILE)
        except FileNotFoundError:
            if source is None:
                msg = (
                    f"No manifest store at {storage.root}: {_STORE_FILE} is not there. Check "
                    "IOMETE_MC_MANIFESTS, or collect an hour first, which makes one."
                )
                raise ManifestMissing(msg) from None
            made = _StoreFile(format=STORE_FORMAT, store_id=secrets.token_hex(8), source=source)
            try:
                storage.create(_STORE_FILE, _STORE.encode(made))
            except FileNotFoundError as error:
                msg = (
                    f"No manifest store can be made at {storage.root} ({error}). Create the bucket, "
                    "or set IOMETE_MC_MANIFESTS to another place."
                )
                raise ManifestMissing(msg) from error
            data = storage.read(_STORE_FILE)  # another process may have been first
        found = _STORE.decode(data, where=where)
        if source is not None and source.host != found.source.host:
            if any(storage.names(flow) for flow in get_args(Flow)):
                raise _wrong_store(where, found.source, source)
            # made for an address that never answered: a typing error must not own the store for good
            _claim(storage, found, source)
        return cls(storage, store_id=found.store_id, source=source)

    @staticmethod
    def moved(root: str, *, host: str) -> None:
        """Note that the store's lakehouse now answers elsewhere; nothing where no store is.

        Only for callers who know that it is the same lakehouse.

        Args:
            root: as for ``open``.
            host: as in ``Source``.

        Raises:
            UnknownSchemaVersion, ManifestDamaged, SettingsError: as ``open``.
        """
        storage = Storage.open(root)
        try:
            data = storage.read(_STORE_FILE)
        except FileNotFoundError:
            return
        found = _STORE.decode(data, where=f"{storage.root}/{_STORE_FILE}")
        if found.source.host != host:
            _claim(storage, found, replace(found.source, host=host))

    # Writing

    def write(self, draft: Draft, *, manifest_id: str) -> Written:
        """Write what a collector says of an hour, unless the hour has as much already (ledger rule 1).

        An hour never gets worse. The manifest that ``current`` names is kept, and nothing new stays
        on disk, when it is known and the draft is ``unknown``; when both say the same (state, reason
        and content digest; wording of omissions and counts does not matter); or when it is complete
        and the draft is partial with no more records. Between two partial readings the newer wins.

        Parts are written as the records come, then the header, then the pointer, so a crash at any
        point leaves garbage and never half a manifest. A retried step may write the same manifest
        again under its id: the files stay as they are and the pointer is set.

        Args:
            draft: its records are consumed once, then its verdict is asked.
            manifest_id: letters, digits, ``-`` and ``_``, at most 128; new for each attempt that
                may say something else.

        Returns:
            The header that now speaks for the hour, and whether it was there before.

        Raises:
            ManifestError: the store is open for reading only, the id cannot be used, the id has
                other content already, or the verdict contradicts itself or the records.
            ManifestDamaged: the hour's present manifest cannot be read, so nobody can compare.
        """
        source = self._writable()
        folder = self.folder(draft.flow, draft.window, manifest_id)
        earlier = self._header_or_none(draft.flow, draft.window, manifest_id)
        if earlier is None:
            self.storage.remove(folder)  # what a crashed attempt of the same id left
        figures = Figures(draft.window)
        draft = replace(draft, records=figures.watched(draft.flow, draft.records))
        parts, content = self._write_parts(draft, folder=folder if earlier is None else None)
        header = _header(
            draft,
            manifest_id=manifest_id,
            source=source,
            parts=parts,
            content=content,
            figures=figures.counts(),
        )
        current = self.current(draft.flow, draft.window)
        if current is not None and current.manifest_id != manifest_id:
            why = _why_kept(current, header)
            if why is not None:
                if earlier is None:
                    self.storage.remove(folder)
                return Written(header=current, kept=True, why=why)
        self._seal(header, earlier=earlier)
        self._point_at(header)
        return Written(header=earlier or header, kept=False)

    def _write_parts(self, draft: Draft, *, folder: str | None) -> tuple[list[Part], int]:
        """The parts, written unless ``folder`` is None, and the sum of their lines' SHA-256."""
        parts: list[Part] = []
        content = 0
        for number, packed in enumerate(_packed(draft.flow, draft.records)):
            file = f"part-{number:05}.jsonl.gz"
            if folder is not None:
                self.storage.write(f"{folder}/{file}", packed.data)
            parts.append(packed.named(file))
            content += packed.content
        return parts, content

    def _seal(self, header: Header, *, earlier: Header | None) -> None:
        """Write the header, which makes the parts a manifest, unless it was written by this id before."""
        folder = self.folder(header.flow, header.window, header.manifest_id)
        if earlier is None and self.storage.create(
            f"{folder}/{_HEADER_FILE}", codec.HEADER.encode(header)
        ):
            return
        if earlier is None or not _say_the_same(earlier, header):
            msg = (
                f"The manifest {self.root}/{folder} exists and says something else; manifests are "
                "never changed. Collect the hour again in a new run, which has an id of its own."
            )
            raise ManifestError(msg)

    def _point_at(self, header: Header) -> None:
        path = f"{header.flow}/{header.window.folder}/{_POINTER_FILE}"
        self.storage.write(path, _POINTER.encode(_Pointer(manifest_id=header.manifest_id)))

    def _writable(self) -> Source:
        if self._source is None:
            msg = f"The manifest store at {self.root} was opened for reading: give it a source."
            raise ManifestError(msg)
        return self._source

    # Finding

    def folder(self, flow: Flow, window: HourWindow, manifest_id: str) -> str:
        """A manifest's folder relative to the root; its receipts lie under it.

        Raises:
            ManifestError: the id is none (ids come back from event metadata, which people can edit).
        """
        if not _MANIFEST_ID.fullmatch(manifest_id):
            msg = (
                f"{manifest_id[:140]!r} is no manifest id: letters, digits, '-' and '_', at most 128. "
                "Look at the hour's folder for the ids that exist."
            )
            raise ManifestError(msg)
        return f"{flow}/{window.folder}/{manifest_id}"

    def path(self, flow: Flow, window: HourWindow, manifest_id: str) -> str:
        """A manifest's full address, for people."""
        return f"{self.root}/{self.folder(flow, window, manifest_id)}"

    def header(self, flow: Flow, window: HourWindow, manifest_id: str) -> Header:
        """The header of one manifest.

        Raises:
            ManifestMissing: none of that hour and id.
            ManifestDamaged: its file is not what this package writes, or of another manifest.
            UnknownSchemaVersion: a newer version wrote it.
        """
        found = self._header_or_none(flow, window, manifest_id)
        if found is None:
            msg = (
                f"No manifest {manifest_id} of {flow}, hour {window.key}, in store {self.store_id} "
                f"at {self.root}. Was it collected into another store, or removed? Collect the hour."
            )
            raise ManifestMissing(msg)
        return found

    def current(self, flow: Flow, window: HourWindow) -> Header | None:
        """The manifest that speaks for the hour by the pointer; None where nothing was collected.

        Raises:
            ManifestDamaged: the pointer or the header it names is damaged or gone.
            UnknownSchemaVersion: a newer version wrote the header.
        """
        path = f"{flow}/{window.folder}/{_POINTER_FILE}"
        where = f"{self.root}/{path}"
        try:
            data = self.storage.read(path)
        except FileNotFoundError:
            return None
        named = _POINTER.decode(data, where=where).manifest_id
        if not _MANIFEST_ID.fullmatch(named):
            raise codec.damaged(where, "it names no manifest id")
        header = self._header_or_none(flow, window, named)
        if header is None:
            raise codec.damaged(where, f"it names {named}, which has no header")
        return header

    def hours(self, flow: Flow) -> list[HourWindow]:
        """Hours that have a folder, ascending; after a crash one of them may have no manifest."""
        return sorted(filter(None, map(_hour_of, self.storage.names(flow))))

    def manifest_ids(self, flow: Flow, window: HourWindow) -> list[str]:
        """Ids of the hour's manifests that have a header, oldest first by ``collected_at``.

        Raises:
            ManifestDamaged, UnknownSchemaVersion: as ``header``.
        """
        names = self.storage.names(f"{flow}/{window.folder}")
        headers = [
            header
            for name in names
            if _MANIFEST_ID.fullmatch(name)
            and (header := self._header_or_none(flow, window, name)) is not None
        ]
        return [
            header.manifest_id
            for header in sorted(
                headers, key=lambda header: (header.collected_at, header.manifest_id)
            )
        ]

    def newest(self, flow: Flow) -> Header | None:
        """The current manifest of the newest known hour; None without any."""
        return self._first_known(flow, reversed(self.hours(flow)))

    def pruned(self, header: Header) -> bool:
        """Whether the manifest's records were removed on purpose."""
        try:
            self.storage.read(f"{self._folder_of(header)}/{_PRUNED_FILE}")
        except FileNotFoundError:
            return False
        return True

    def parts_left(self, header: Header) -> list[str]:
        """Names of the manifest's parts that are still there."""
        names = set(self.storage.names(self._folder_of(header)))
        return [part.file for part in header.parts if part.file in names]

    def prune(self, header: Header, *, at: datetime) -> None:
        """Remove the manifest's records; header and receipts stay. May be repeated after a crash."""
        folder = self._folder_of(header)
        # the mark first: a part that is missing without it is damage
        self.storage.create(f"{folder}/{_PRUNED_FILE}", _PRUNED.encode(_Pruned(pruned_at=at)))
        for file in self.parts_left(header):
            self.storage.remove(f"{folder}/{file}")

    def ids_without_header(self, flow: Flow, window: HourWindow) -> list[str]:
        """Names of the hour's folders that never became a manifest: a crash's, or a run's at work."""
        return [
            name
            for name in self.storage.names(f"{flow}/{window.folder}")
            if name != _POINTER_FILE
            and _MANIFEST_ID.fullmatch(name)
            and self._header_or_none(flow, window, name) is None
        ]

    def _folder_of(self, header: Header) -> str:
        return self.folder(header.flow, header.window, header.manifest_id)

    def newest_before(self, flow: Flow, window: HourWindow) -> Header | None:
        """The current manifest of the newest known hour strictly before that has its records; None without any."""
        earlier = [hour for hour in self.hours(flow) if hour < window]
        return self._first_known(flow, reversed(earlier))

    def nearest(self, flow: Flow, window: HourWindow) -> Header | None:
        """The newest known hour at or before, else the oldest known one after, that has its records; None without any."""
        hours = self.hours(flow)
        at_or_before = [hour for hour in hours if hour <= window]
        after = hours[len(at_or_before) :]
        return self._first_known(flow, chain(reversed(at_or_before), after))

    def _first_known(self, flow: Flow, hours: Iterable[HourWindow]) -> Header | None:
        for hour in hours:
            header = self.current(flow, hour)
            if header is not None and header.known and not self.pruned(header):
                return header
        return None

    def _header_or_none(self, flow: Flow, window: HourWindow, manifest_id: str) -> Header | None:
        path = f"{self.folder(flow, window, manifest_id)}/{_HEADER_FILE}"
        where = f"{self.root}/{path}"
        try:
            data = self.storage.read(path)
        except FileNotFoundError:
            return None
        header = codec.HEADER.decode(data, where=where)
        if (header.flow, header.window, header.manifest_id) != (flow, window, manifest_id):
            says = f"it is of {header.flow}, hour {header.window.key}, id {header.manifest_id}"
            raise codec.damaged(where, says)
        return header

    # Reading

    def records(self, header: Header) -> Iterator[Record]:
        """All records in the order they were written, one part in memory at a time.

        Raises:
            ManifestPruned, ManifestDamaged: as ``lines``, or a line is no record.
        """
        for line, where in self.lines(header):
            yield codec.decode_record(header.flow, line, where=where, version=header.schema_version)

    def lines(self, header: Header, *, first: int = 0) -> Iterator[Line]:
        """Records as they stand on disk, in the order they were written, from number ``first`` on.

        One part is in memory at a time, packed. It is compared with its digest before its first line
        comes out; a part without any line that is asked for is not read.

        Raises:
            ManifestPruned: they were removed on purpose.
            ManifestDamaged: a part is missing, is not the one that was written, or has another
                number of records than the header says.
        """
        folder = self._folder_of(header)
        for part in header.parts:
            passed, first = min(first, part.records), max(0, first - part.records)
            if passed == part.records:
                continue
            try:
                data = self.storage.read(f"{folder}/{part.file}")
            except FileNotFoundError:
                raise self._missing(header, part) from None
            where = f"{self.root}/{folder}/{part.file}"
            for line in islice(_lines_of(part, data, where=where), passed, None):
                yield line, where

    def _missing(self, header: Header, part: Part) -> ManifestError:
        if not self.pruned(header):
            return codec.damaged(
                f"{self.root}/{self._folder_of(header)}/{part.file}", "it is missing"
            )
        return ManifestPruned(
            f"The records of {header.flow}, hour {header.window.key}, manifest {header.manifest_id} were "
            f"pruned from {self.root}. `iomete-mc receipts {header.window.key}` tells what was sent of them."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoreFile:
    """``store.json``."""

    format: int
    store_id: str
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pointer:
    """``current.json``."""

    manifest_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pruned:
    """``pruned.json``."""

    pruned_at: datetime


_PRUNED = codec.JsonFile(_Pruned)
_STORE = codec.JsonFile(_StoreFile, version_field="format", version=STORE_FORMAT)


def _claim(storage: Storage, found: _StoreFile, source: Source) -> None:
    """Give the store to another lakehouse; its id stays, since events name it."""
    storage.write(_STORE_FILE, _STORE.encode(replace(found, source=source)))


def _wrong_store(where: str, found: Source, asked: Source) -> WrongStore:
    return WrongStore(
        f"The manifest store holds hours of the lakehouse {found.host} (says {where}), and IOMETE_URL "
        f"leads to {asked.host}. Nothing was collected. Check IOMETE_URL first: host, port and path must be "
        "the store's. If another lakehouse is meant, set IOMETE_MC_MANIFESTS to a store of its own. If it is "
        f'the same lakehouse at a new address, write that address as "host" into {where}.'
    )


_POINTER = codec.JsonFile(_Pointer)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Packed:
    """One part before it has a name.

    Attributes:
        data: gzip of JSON lines.
        content: the sum of the lines' SHA-256.
    """

    data: bytes
    records: int
    content: int

    def named(self, file: str) -> Part:
        """The part as the header lists it."""
        return Part(file=file, records=self.records, sha256=hashlib.sha256(self.data).hexdigest())


def _lines_of(part: Part, data: bytes, *, where: str) -> Iterator[bytes]:
    """The lines of a part's file, if it is the one that was written."""
    if hashlib.sha256(data).hexdigest() != part.sha256:
        says = f"its {len(data)} bytes are not those the header has the digest of"
        raise codec.damaged(where, says)
    count = 0
    for lines in _unpacked(data, where=where):
        yield from lines
        count += len(lines)
    if count != part.records:
        says = f"it holds {count} records, and the header says {part.records}"
        raise codec.damaged(where, says)


class _Unpacker(Protocol):
    """What ``zlib.decompressobj`` gives."""

    eof: bool
    unused_data: bytes

    def decompress(self, data: bytes, /) -> bytes: ...


def _unpacker() -> _Unpacker:
    # twice as fast as zlib's; its stubs leave types out
    return isal_zlib.decompressobj(wbits=_GZIP_WBITS)  # pyright: ignore[reportUnknownMemberType]


def _unpacked(data: bytes, *, where: str) -> Iterator[list[bytes]]:
    """Lines of gzip data without their newlines, a few at a time: a part may have 32 MiB of them."""
    unpacker = _unpacker()
    begun: list[bytes] = []  # of one line, which may be as long as the part
    try:
        for at in range(0, len(data), _PACKED_PIECE_BYTES):
            begun.append(unpacker.decompress(data[at : at + _PACKED_PIECE_BYTES]))
            if b"\n" in begun[-1]:
                *lines, rest = b"".join(begun).split(b"\n")
                begun = [rest]
                yield lines
    except isal_zlib.error as error:  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]
        raise codec.damaged(where, f"it cannot be unpacked ({error})") from error
    if not unpacker.eof or unpacker.unused_data:
        raise codec.damaged(where, "it cannot be unpacked (it ends too early or too late)")
    if any(begun):
        yield [b"".join(begun)]


def _packed(flow: Flow, records: Iterable[Record]) -> Iterator[_Packed]:
    """Parts as the records come; only compressed bytes of one part are held."""
    lines = (codec.encode_record(flow, record) for record in records)
    for first in lines:
        yield _pack(chain((first,), lines))


def _pack(lines: Iterator[bytes]) -> _Packed:
    """One part from as many lines as it may hold; the others stay in the iterator."""
    packer = zlib.compressobj(GZIP_LEVEL, wbits=_GZIP_WBITS)
    pieces: list[bytes] = []
    records = size = content = 0
    for line in lines:
        pieces.append(packer.compress(line + b"\n"))
        content += int.from_bytes(hashlib.sha256(line).digest())
        records += 1
        size += len(line)
        if records == MAX_RECORDS_PER_PART or size >= MAX_PART_BYTES:
            break
    pieces.append(packer.flush())
    return _Packed(data=b"".join(pieces), records=records, content=content)


def _header(
    draft: Draft,
    *,
    manifest_id: str,
    source: Source,
    parts: Sequence[Part],
    content: int,
    figures: Mapping[str, int],
) -> Header:
    verdict = draft.verdict()
    _refuse_contradiction(draft, verdict, parts)
    header = Header(
        schema_version=SCHEMA_VERSION,
        flow=draft.flow,
        window=draft.window,
        manifest_id=manifest_id,
        state=verdict.state,
        reason=verdict.reason,
        collected_at=draft.collected_at,
        collector=draft.collector,
        source=source,
        counts={**(figures if verdict.state != "unknown" else {}), **verdict.counts},
        omissions=_summed(verdict.omissions),
        parts=tuple(parts),
        content_digest=f"{content % 2**256:064x}",
        inputs=draft.inputs,
        collector_state=verdict.collector_state,
        changes=verdict.changes,
    )
    # exactly what a reader will find: own mappings, lone surrogates replaced
    return codec.HEADER.decode(codec.HEADER.encode(header), where=manifest_id)


def _refuse_contradiction(draft: Draft, verdict: Verdict, parts: Sequence[Part]) -> None:
    said = None
    if verdict.state == "unknown" and parts:
        said = "unknown, and there are records"
    elif (verdict.reason is None) != (verdict.state == "complete"):
        said = f"{verdict.state}, with the reason {verdict.reason!r}"
    if said is not None:
        msg = (
            f"{draft.collector.name} says of {draft.flow}, hour {draft.window.key}: {said}. "
            "An unknown hour has no records, and all but a complete one has a reason. "
            "This is a bug in the collector; nothing was kept."
        )
        raise ManifestError(msg)


def _summed(omissions: Sequence[Omission]) -> Omissions:
    """All counted; of the sample the unreadable come first, which someone can do something about."""
    counts = dict.fromkeys(_OMISSION_KINDS, 0)
    for omission in omissions:
        counts[omission.kind] += 1
    first = sorted(omissions, key=lambda omission: omission.kind != "unreadable")
    return Omissions(counts=counts, sample=tuple(first[:OMISSION_SAMPLE]))


_OMISSION_KINDS: tuple[OmissionKind, ...] = get_args(OmissionKind)


def _say_the_same(one: Header, other: Header) -> bool:
    return (one.state, one.reason, one.content_digest) == (
        other.state,
        other.reason,
        other.content_digest,
    )


def _queries_read(header: Header) -> str | None:
    """The query logs that lineage was made of: an hour whose lineage names others than the newest is a gap."""
    return header.inputs.get("query_logs")


def _why_kept(current: Header, new: Header) -> str | None:
    """Why ``current`` goes on speaking for the hour; None where ``new`` takes over."""
    if _say_the_same(current, new) and _queries_read(current) == _queries_read(new):
        return f"collected again, it says the same as manifest {current.manifest_id}"
    if not current.known:
        return None
    if not new.known:
        return f"nothing can be known any more ({new.reason}); manifest {current.manifest_id} stays"
    if _queries_read(current) != _queries_read(new):
        return None
    if (current.state, new.state) == ("complete", "partial") and new.records <= current.records:
        return f"this reading is partial ({new.reason}); manifest {current.manifest_id} is complete"
    return None


def _hour_of(name: str) -> HourWindow | None:
    """The hour of a folder's name; None for another folder, e.g. ``ledger``."""
    try:
        window = HourWindow.from_folder(name)
    except ValueError:
        return None
    return window if window.folder == name else None
