"""Setting Monte Carlo up for a lakehouse: what is there, what is missing, and each change. Asks nobody; prints nothing.

Every change is looked up first, so a set-up that broke off goes on where it stopped. No secret is kept.
"""

from dataclasses import dataclass, field
from typing import Literal

from iomete_mc_assets.errors import (
    ApiUnavailable,
    ControlPlaneError,
    OperationRefused,
    SecretLost,
    SettingsError,
)
from iomete_mc_assets.montecarlo import answered, documents
from iomete_mc_assets.montecarlo.answered import Collector, IngestionKey, Warehouse, ask
from iomete_mc_assets.montecarlo.control_plane import Api

CUSTOM_INTEGRATION = "CUSTOM_INTEGRATION"
COLLECTED = frozenset({"metadata", "query_logs"})
"""Job types of connections that would collect what we push."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What somebody wants set up.

    Attributes:
        name: of the integration; how it is found again where no UUID is known.
        warehouse: UUID of the integration's warehouse; None where only the name is known.
        url, user, token: the lakehouse as Monte Carlo is to reach it, over HTTP.
        collector: UUID of the data collector that connects; None takes the account's only one.
        declare_push: say of metadata and query logs that they are pushed, which ends their collection.
        new_credentials: test and give the credentials though there is a connection.
        key_id: the ingestion key in use; None without one.
        renew_key: id of a key that another is made for, and that is deleted then; None keeps all.
    """

    name: str
    warehouse: str | None
    url: str
    user: str
    token: str = field(repr=False)
    collector: str | None = None
    declare_push: bool = False
    new_credentials: bool = False
    key_id: str | None = None
    renew_key: str | None = None


KeyStep = Literal["make", "keep", "secret unknown"]
"""``keep``: the key in use fits. ``secret unknown``: keys for the warehouse exist, and none is in use here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is there and what is to be done.

    Attributes:
        warehouse: None: it is to be made.
        connect: whether the credentials are tested, and the connection for SQL monitors made of them.
        collector: who connects; None where nobody has to.
        declare_push: whether the integration is told that metadata and query logs are pushed.
        keys: ingestion keys that may push to the warehouse.
        obsolete: ids of keys that are deleted once a new one is there: the renewed one first, then those
            that a renewal which broke off made in its place.
    """

    warehouse: Warehouse | None
    connect: bool
    collector: Collector | None
    declare_push: bool
    keys: tuple[IngestionKey, ...]
    key_step: KeyStep
    obsolete: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether anything is to be done at Monte Carlo."""
        return self.connect or self.declare_push or self.key_step == "make" or bool(self.obsolete)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key that was just made; its secret is told here and never again."""

    id: str
    secret: str = field(repr=False)


def planned(api: Api, wanted: Wanted) -> Plan:
    """Look at what is there; three or fewer questions, no change.

    Raises:
        ControlPlaneError: as ``Api.ask``.
        SettingsError: the warehouse, the collector or the key that is named cannot be meant.
    """
    warehouse = _warehouse(api, wanted)
    connect = warehouse is None or not warehouse.monitored or wanted.new_credentials
    every = () if warehouse is None else tuple(answered.ingestion_keys(api))
    keys = tuple(one for one in every if warehouse and _may_push(one, warehouse))
    key_step, obsolete = _key_step(wanted, warehouse, every)
    return Plan(
        warehouse=warehouse,
        connect=connect,
        collector=_collector(api, wanted) if connect else None,
        declare_push=wanted.declare_push
        and (warehouse is None or bool(warehouse.job_types & COLLECTED)),
        keys=keys,
        key_step=key_step,
        obsolete=obsolete,
    )


def _warehouse(api: Api, wanted: Wanted) -> Warehouse | None:
    every = answered.warehouses(api)
    if wanted.warehouse is not None:
        named = [one for one in every if one.uuid == wanted.warehouse]
        if not named:
            msg = (
                f"MCD_RESOURCE_UUID: Monte Carlo shows no warehouse {wanted.warehouse} to this API key. "
                "Correct it, or unset it to find or make the integration by its name."
            )
            raise SettingsError(msg)
    else:
        named = [one for one in every if one.kind == CUSTOM_INTEGRATION and one.name == wanted.name]
    if len(named) > 1:
        listed = ", ".join(one.uuid for one in named)
        msg = f"Monte Carlo has {len(named)} integrations named {wanted.name!r} ({listed}). Set MCD_RESOURCE_UUID to the one that is meant."
        raise SettingsError(msg)
    if named and named[0].kind != CUSTOM_INTEGRATION:
        msg = (
            f"MCD_RESOURCE_UUID: the warehouse {named[0].name!r} is of type {named[0].kind}, and metadata is "
            f"pushed to a custom integration ({CUSTOM_INTEGRATION}) only. Name another one."
        )
        raise SettingsError(msg)
    return named[0] if named else None


def _collector(api: Api, wanted: Wanted) -> Collector:
    every = answered.collectors(api)
    fitting = [one for one in every if wanted.collector in (None, one.uuid)]
    if len(fitting) == 1:
        return fitting[0]
    listed = ", ".join(f"{one.uuid} ({one.name})" for one in every) or "none"
    msg = f"Which data collector is to reach the lakehouse? Monte Carlo has {listed}. Name one with --collector."
    raise SettingsError(msg)


def _may_push(key: IngestionKey, warehouse: Warehouse) -> bool:
    return not key.warehouses or warehouse.uuid in key.warehouses


def _alone(key: IngestionKey, warehouse: Warehouse) -> bool:
    return key.warehouses == frozenset({warehouse.uuid})


def _key_step(
    wanted: Wanted, warehouse: Warehouse | None, every: tuple[IngestionKey, ...]
) -> tuple[KeyStep, tuple[str, ...]]:
    """What becomes of keys, and which are obsolete then."""
    keys = [one for one in every if warehouse and _may_push(one, warehouse)]
    if warehouse is not None and wanted.renew_key is not None:
        return _renewal(wanted.renew_key, wanted.key_id, warehouse, every)
    if wanted.renew_key is not None:
        msg = f"--renew-key: there is no integration {wanted.name!r} yet, and so no key {wanted.renew_key} of it. Leave it out; nothing was changed."
        raise SettingsError(msg)
    if any(one.id == wanted.key_id for one in keys):
        return "keep", ()
    return ("secret unknown" if any(one.warehouses for one in keys) else "make"), ()


def _renewal(
    renewed_id: str, in_use: str | None, warehouse: Warehouse, every: tuple[IngestionKey, ...]
) -> tuple[KeyStep, tuple[str, ...]]:
    """The key is deleted last, so one that is gone was renewed, and its successor says so."""
    renewed = next((one for one in every if one.id == renewed_id), None)
    successors = [
        one.id
        for one in every
        if _alone(one, warehouse) and one.description.endswith(_instead(renewed_id))
    ]
    if renewed is None and not successors:
        listed = ", ".join(one.id for one in every if _alone(one, warehouse)) or "none"
        msg = (
            f"--renew-key: Monte Carlo shows no ingestion key {renewed_id}, so nothing was changed. Keys for this "
            f"warehouse alone: {listed}. Correct the id, or leave it out if somebody deleted that key."
        )
        raise SettingsError(msg)
    if renewed is None:
        return ("keep" if in_use in successors else "secret unknown"), ()
    if not _alone(renewed, warehouse):
        msg = f"--renew-key: {renewed.id} may push to other warehouses too, so it is not deleted here. Delete it at Monte Carlo if you are sure."
        raise SettingsError(msg)
    if in_use in successors:
        return "keep", (renewed.id,)
    return "make", (renewed.id, *successors)


def _description(warehouse: Warehouse, renewed_id: str | None) -> str:
    """Of a key that is made here; it says whose place it takes."""
    return f"iomete-mc: {warehouse.name}{_instead(renewed_id) if renewed_id else ''}"


def _instead(renewed_id: str) -> str:
    return f", instead of {renewed_id}"


def integrated(api: Api, wanted: Wanted, plan: Plan) -> Warehouse:
    """The integration as planned: made, updated, or as it was.

    Raises:
        ControlPlaneError: as ``Api.ask``; after one that leaves the outcome unknown Monte Carlo was
            asked, and shows nothing of the change so far.
        OperationRefused: the credentials did not pass, or the change was refused.
    """
    if plan.warehouse is not None and not (plan.connect or plan.declare_push):
        return plan.warehouse
    variables: dict[str, object] = {}
    if plan.warehouse is None:
        variables["n"] = wanted.name
    else:
        variables["w"] = plan.warehouse.uuid
    if plan.collector is not None:
        variables["monitors"] = {
            "mode": "COLLECT",
            "connectionType": "spark",
            "credentialsKey": _credentials(api, wanted, plan.collector),
            "deploymentId": plan.collector.uuid,
        }
    if plan.declare_push:
        variables |= {"metadata": {"mode": "PUSH"}, "queryLogs": {"mode": "PUSH"}}
    uuid = plan.warehouse.uuid if plan.warehouse else None
    try:
        answer = ask(api, documents.PUT_INTEGRATION, **variables)
        made = answer.node("createOrUpdateCustomIntegration").node("result")
        uuid = made.text("warehouseUuid").lower()
    except ApiUnavailable as error:
        if not error.unknown:
            raise
        return _seen_after(api, wanted, plan, error)
    return _read_back(api, uuid)


def _credentials(api: Api, wanted: Wanted, collector: Collector) -> str:
    """The temporary key of credentials that passed; nothing lasting is made, so this may be repeated."""
    answer = ask(
        api,
        documents.TEST_SPARK,
        u=wanted.url,
        n=wanted.user,
        p=wanted.token,
        dc=collector.uuid,
    ).node("testSparkCredentials")
    key = answer.text_or_none("key")
    if not answer.flag("success") or not key:
        msg = (
            f"Monte Carlo could not log in to {wanted.url} as {wanted.user} from data collector "
            f"{collector.name or collector.uuid}; nothing was changed. Check address, user and token as seen from there."
        )
        raise OperationRefused(msg)
    return key


def _seen_after(api: Api, wanted: Wanted, plan: Plan, error: ApiUnavailable) -> Warehouse:
    """The change whose answer was lost, if Monte Carlo shows it."""
    found = _warehouse(api, wanted)
    before = plan.warehouse
    if found is not None and (before is None or (found.monitored and not before.monitored)):
        return found
    msg = (
        f"{error} Asked, it shows no such change so far. Run the same command again in a few minutes: it "
        "looks first, and makes nothing twice."
    )
    raise ApiUnavailable(msg, unknown=True) from error


def _read_back(api: Api, uuid: str) -> Warehouse:
    for one in answered.warehouses(api):
        if one.uuid == uuid:
            return one
    msg = f"Monte Carlo said that it made the integration {uuid}, and does not show it. Run the same command again in a few minutes, with MCD_RESOURCE_UUID={uuid}."
    raise ControlPlaneError(msg)


def made_key(api: Api, warehouse: Warehouse, *, instead_of: str | None) -> NewKey:
    """A new ingestion key for this warehouse alone, perhaps in another's place.

    Raises:
        SecretLost: it was made, and the answer with its secret never came.
        ControlPlaneError: as ``Api.ask``.
    """
    before = {one.id for one in answered.ingestion_keys(api)}
    description = _description(warehouse, instead_of)
    try:
        answer = ask(api, documents.CREATE_KEY, d=description, w=[warehouse.uuid])
    except ApiUnavailable as error:
        if error.unknown:
            _raise_if_made(api, warehouse, before, instead_of, error)
        raise
    key = answer.node("createIntegrationKey").node("key")
    return NewKey(id=key.text("id"), secret=key.text("secret"))


def _raise_if_made(
    api: Api,
    warehouse: Warehouse,
    before: set[str],
    instead_of: str | None,
    error: ApiUnavailable,
) -> None:
    """Whether the lost answer was that of a key which is there now."""
    description = _description(warehouse, instead_of)
    for one in answered.ingestion_keys(api):
        of_this = _alone(one, warehouse) and one.description == description
        if one.id not in before and of_this:
            msg = (
                f"The ingestion key {one.id} was made, but the answer with its secret never came ({error}). "
                f"Nobody can push with it: run again with --renew-key {instead_of or one.id}, which makes another and deletes it."
            )
            raise SecretLost(msg, key_id=one.id) from error
    msg = (
        f"{error} Asked, Monte Carlo shows no new key so far. Run the same command again in a few minutes: "
        "it looks first."
    )
    raise ApiUnavailable(msg, unknown=True) from error


def deleted_key(api: Api, key_id: str) -> None:
    """Delete an ingestion key; pushes with it are refused from then on.

    Raises:
        OperationRefused: it is still there.
        ControlPlaneError: as ``Api.ask``; an unknown outcome only where Monte Carlo still shows the key.
    """
    try:
        ask(api, documents.DELETE_KEY, id=key_id)
    except ApiUnavailable as error:
        if not error.unknown or _has_key(api, key_id):
            raise
        return
    if _has_key(api, key_id):
        msg = f"Monte Carlo did not delete the ingestion key {key_id}. Delete it there, then run this again."
        raise OperationRefused(msg)


def _has_key(api: Api, key_id: str) -> bool:
    return any(one.id == key_id for one in answered.ingestion_keys(api))
