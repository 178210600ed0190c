"""Monte Carlo's two APIs, as far as they can be asked without pushing or changing anything."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from iomete_mc_assets.errors import IometeMcError, Rejected
from iomete_mc_assets.montecarlo.answered import ingestion_keys
from iomete_mc_assets.montecarlo.control_plane import ApiConfig, ControlPlane
from iomete_mc_assets.montecarlo.documents import CONTAINERS, WAREHOUSES
from iomete_mc_assets.montecarlo.ingest import IngestConfig, Outgoing, PycarloIngest
from iomete_mc_assets.operations.doctor import Check, Verdict

NOTHING = b"{}"
"""A body without type, warehouse or events. Seen live: Monte Carlo refuses it by its schema with 400."""
SHOWN_NAMES = 10
SHOWN = "a body without events, which the doctor sends because nobody can take it for data"


def monte_carlo_checks(
    config: IngestConfig, *, resource_uuid: str, keys_are_asked: bool
) -> Iterator[Check]:
    """Send one request that no schema accepts, and read who refuses it, and why.

    The schema is looked at before the key, so a refusal proves the address and the way there. That a key
    is right, and may write to the warehouse, only an accepted push can prove.

    Args:
        config: where, and with which key.
        resource_uuid: of the warehouse, for the message.
        keys_are_asked: whether ``api_checks`` tells of the key.
    """
    try:
        PycarloIngest(config).send(
            Outgoing(flow="catalog_snapshot", body=NOTHING, events=0, shown=SHOWN)
        )
    except Rejected:
        yield _check("ingest API", "green", f"{config.endpoint} is Monte Carlo's ingest API")
        if keys_are_asked:
            return
        text = (
            f"Only the first push proves the key and its right to warehouse {resource_uuid}: Monte Carlo looks at a "
            "body before the key. Prove it with one hour: `iomete-mc push`."
        )
        yield _check("ingestion key", "amber", text)
    except IometeMcError as error:
        yield _check("ingest API", "red", str(error))
    else:
        text = (
            f"{config.endpoint} accepted a body without any event, which Monte Carlo refuses. Check "
            "MCD_INGEST_ENDPOINT and any proxy between."
        )
        yield _check("ingest API", "red", text)


def api_checks(
    config: ApiConfig, *, resource_uuid: str, key_id: str, container: str | None
) -> Iterator[Check]:
    """Ask which warehouses, keys and ETL containers there are; only with an API key.

    Args:
        config: where, and with which key.
        resource_uuid: of the warehouse that should be among them.
        key_id: of the ingestion key that should be allowed to write to it.
        container: UUID of the ETL container that should be among them; None without one.
    """
    api = ControlPlane(config)
    try:
        answer = api.ask(WAREHOUSES)
    except IometeMcError as error:
        yield _check("API key", "red", str(error))
        return
    warehouses = cast("Sequence[Mapping[str, Any]]", answer.get("getWarehouses") or ())
    yield _check("API key", "green", f"{config.endpoint} shows {len(warehouses)} warehouses")
    for one in warehouses:
        if str(one.get("uuid")).casefold() == resource_uuid.casefold():
            yield _check("warehouse", "green", f"{one.get('name')}: {_received(one)}")
            yield _key(api, resource_uuid, key_id, api_key_id=config.key_id)
            if container is not None:
                yield _container(api, container)
            return
    known = ", ".join(f"{one.get('name')} ({one.get('uuid')})" for one in warehouses[:SHOWN_NAMES])
    text = (
        f"MCD_RESOURCE_UUID {resource_uuid} is none of the account's warehouses ({known or 'it shows none'}). "
        "Set it to the UUID of the custom integration's warehouse."
    )
    yield _check("warehouse", "red", text)


def _key(api: ControlPlane, resource_uuid: str, key_id: str, *, api_key_id: str) -> Check:
    """Whether the ingestion key is one that may write to the warehouse; its secret shows at the first push."""
    name = "ingestion key"
    if key_id == api_key_id:
        text = "MCD_INGEST_ID is the API key (MCD_ID), which cannot push. Set it to an ingestion key: `iomete-mc setup` makes one."
        return _check(name, "red", text)
    try:
        keys = {key.id: key for key in ingestion_keys(api)}
    except IometeMcError as error:
        text = f"Only the first push proves the key, as the account's keys are not told: {error}"
        return _check(name, "amber", text)
    key = keys.get(key_id)
    if key is None:
        text = (
            "MCD_INGEST_ID is none of the account's ingestion keys: it is expired or deleted, or of another account "
            "or kind. `iomete-mc setup` says which keys there are, and makes one."
        )
        return _check(name, "red", text)
    if key.warehouses and resource_uuid.casefold() not in key.warehouses:
        listed = ", ".join(sorted(key.warehouses))
        text = (
            f"MCD_INGEST_ID may write to {listed}, and not to warehouse {resource_uuid}. Take the key of that "
            "warehouse, or correct MCD_RESOURCE_UUID."
        )
        return _check(name, "red", text)
    return _check(name, "green", f"may write to it ({key.description}); its secret shows at a push")


def _container(api: ControlPlane, container: str) -> Check:
    name = "ETL container"
    try:
        found = cast(
            "Sequence[Mapping[str, Any]]", api.ask(CONTAINERS).get("getEtlContainers") or ()
        )
    except IometeMcError as error:
        return _check(name, "red", str(error))
    for one in found:
        if str(one.get("uuid")).casefold() == container.casefold():
            return _check(name, "green", f"{one.get('name')}: {_received(one)}")
    known = ", ".join(f"{one.get('name')} ({one.get('uuid')})" for one in found[:SHOWN_NAMES])
    text = f"MCD_ETL_CONTAINER_UUID {container} is none of the account's ETL containers ({known or 'it shows none'}). Correct or unset it."
    return _check(name, "red", text)


def _received(warehouse: Mapping[str, Any]) -> str:
    """What Monte Carlo says it has received there."""
    events = cast("Sequence[Mapping[str, Any]]", warehouse.get("pushEvents") or ())
    told = [
        f"{one.get('eventType')} {one.get('status')}"
        + (f", last {one['lastReceived']}" if one.get("lastReceived") else "")
        for one in events
    ]
    return "; ".join(told) or "no word of what was received"


def _check(name: str, verdict: Verdict, text: str) -> Check:
    return Check(group="monte carlo", name=name, verdict=verdict, text=text)
