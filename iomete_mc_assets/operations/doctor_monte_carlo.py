"""Monte Carlo's two APIs, as far as they can be asked without pushing or changing anything."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from iomete_mc_assets.errors import IometeMcError, Rejected
from iomete_mc_assets.montecarlo.control_plane import ApiConfig, ControlPlane
from iomete_mc_assets.montecarlo.documents import WAREHOUSES
from iomete_mc_assets.montecarlo.ingest import IngestConfig, Outgoing, PycarloIngest
from iomete_mc_assets.operations.doctor import Check, Verdict

NOTHING = b"{}"
"""A body without type, warehouse or events. Seen live: Monte Carlo refuses it by its schema with 400."""
SHOWN_NAMES = 10
SHOWN = "a body without events, which the doctor sends because nobody can take it for data"


def monte_carlo_checks(config: IngestConfig, *, resource_uuid: str) -> Iterator[Check]:
    """Send one request that no schema accepts, and read who refuses it, and why.

    The schema is looked at before the key, so a refusal proves the address and the way there. That a key
    is right, and may write to the warehouse, only an accepted push can prove.

    Args:
        config: where, and with which key.
        resource_uuid: of the warehouse, for the message.
    """
    try:
        PycarloIngest(config).send(Outgoing(flow="catalog_snapshot", body=NOTHING, shown=SHOWN))
    except Rejected:
        yield _check("ingest API", "green", f"{config.endpoint} is Monte Carlo's ingest API")
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


def api_checks(config: ApiConfig, *, resource_uuid: str) -> Iterator[Check]:
    """Ask which warehouses there are; only with an API key.

    Args:
        config: where, and with which key.
        resource_uuid: of the warehouse that should be among them.
    """
    try:
        answer = ControlPlane(config).ask(WAREHOUSES)
    except IometeMcError as error:
        yield _check("API key", "red", str(error))
        return
    warehouses = cast("Sequence[Mapping[str, Any]]", answer.get("getWarehouses") or ())
    yield _check("API key", "green", f"{config.endpoint} shows {len(warehouses)} warehouses")
    for one in warehouses:
        if str(one.get("uuid")).casefold() == resource_uuid.casefold():
            yield _check("warehouse", "green", f"{one.get('name')}: {_received(one)}")
            return
    known = ", ".join(f"{one.get('name')} ({one.get('uuid')})" for one in warehouses[:SHOWN_NAMES])
    text = (
        f"MCD_RESOURCE_UUID {resource_uuid} is none of the account's warehouses ({known or 'it shows none'}). "
        "Set it to the UUID of the custom integration's warehouse."
    )
    yield _check("warehouse", "red", text)


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
