"""The manifest store: whose it is, and whether a small file can be made exclusively, read, listed and removed there."""

import secrets
from collections.abc import Collection, Iterator

from iomete_mc_assets.errors import IometeMcError
from iomete_mc_assets.manifests.model import Source
from iomete_mc_assets.manifests.storage import Storage
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.operations.doctor import Check, Verdict


def store_checks(root: str, *, source: Source | None) -> Iterator[Check]:
    """Look at the store, and try it out with one file that is removed again.

    Args:
        root: as ``IOMETE_MC_MANIFESTS`` takes it.
        source: the lakehouse that is collected; None where its address is not known.
    """
    name = "store"
    try:
        storage = Storage.open(root)
        yield _whose(storage, source)
        name = "writing"
        yield from _tried_out(storage)
    except IometeMcError as error:
        yield _check(name, "red", str(error))
    except OSError as error:
        text = (
            f"{root} cannot be used ({error}). Check IOMETE_MC_MANIFESTS, that the bucket or folder exists, "
            "and the rights of this account there (read, write, list, delete)."
        )
        yield _check(name, "red", text)


def imports_checks(root: str, *, sources: Collection[str]) -> Iterator[Check]:
    """Look into the folder in which other collectors drop their manifests.

    Args:
        root: as ``IOMETE_MC_IMPORTS`` takes it.
        sources: those whose warehouse is set.
    """
    name = "dropped files"
    try:
        storage = Storage.open(root)
        folders = storage.names("")
        files = {one: len(storage.versions(one)) for one in folders if one in sources}
    except IometeMcError as error:
        yield _check(name, "red", str(error))
        return
    except OSError as error:
        text = f"{root} cannot be listed ({error}). Check IOMETE_MC_IMPORTS and the rights of this account there."
        yield _check(name, "red", text)
        return
    strange = [one for one in folders if one not in sources]
    told = ", ".join(f"{count} in {one}" for one, count in files.items()) or "none"
    if strange or not sources:
        text = (
            f"{root} can be listed (files: {told}), but IOMETE_MC_IMPORT_SOURCES names no warehouse for "
            f"{', '.join(strange) or 'any source'}, so such files are not looked at."
        )
        yield _check(name, "amber", text)
        return
    yield _check(name, "green", f"{root} can be listed, files: {told}")


def _whose(storage: Storage, source: Source | None) -> Check:
    if "store.json" not in storage.names(""):
        text = f"{storage.root} holds no store yet; the first collected hour makes it"
        return _check("store", "green", text)
    store = ManifestStore.over(storage, source=source)
    of = f" of the lakehouse {source.host}" if source else ""
    return _check("store", "green", f"{storage.root} is store {store.store_id}{of}")


def _tried_out(storage: Storage) -> Iterator[Check]:
    path = f"doctor-{secrets.token_hex(8)}.json"
    try:
        made = storage.create(path, b"1")
        again = storage.create(path, b"2")
        read = storage.read(path)
        listed = path in storage.names("")
    finally:
        storage.remove(path)
    gone = path not in storage.names("")
    if not (made and listed and gone and read in (b"1", b"2")):
        text = (
            f"A file made in {storage.root} was not found there, or not removed ({path}). No cache may stand "
            "before the store, and this account must be allowed to write, read, list and delete."
        )
        yield _check("writing", "red", text)
        return
    yield _check("writing", "green", "a file can be made, read, listed and removed")
    if again or read != b"1":
        text = (
            "The store lets a second writer replace what was made exclusively, so its ledger cannot keep two "
            "pushes apart. Take a store with If-None-Match (S3 has it), or push from one process only: "
            "one slot in the pool monte_carlo, and no `iomete-mc push` beside it."
        )
        yield _check("exclusive creation", "red", text)
        return
    text = (
        "two pushes at a time are kept apart; a second store pushing to the same warehouse is not"
    )
    yield _check("exclusive creation", "green", text)


def _check(name: str, verdict: Verdict, text: str) -> Check:
    return Check(group="manifest store", name=name, verdict=verdict, text=text)
