"""Monte Carlo's ingest API, as far as it can be asked without pushing anything."""

from collections.abc import Iterator

from iomete_mc_assets.errors import IometeMcError, Rejected
from iomete_mc_assets.montecarlo.ingest import IngestConfig, Outgoing, PycarloIngest
from iomete_mc_assets.operations.doctor import Check, Verdict

NOTHING = b"{}"
"""A body without type, warehouse or events. Seen live: Monte Carlo refuses it by its schema with 400."""
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


def _check(name: str, verdict: Verdict, text: str) -> Check:
    return Check(group="monte carlo", name=name, verdict=verdict, text=text)
