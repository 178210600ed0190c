"""`iomete-mc setup`: set Monte Carlo up for the lakehouse. What is there and what is changed lives in ``operations.set_up``.

Words go to stderr; what belongs into the environment goes to stdout, and with it a new key's secret, once.
"""

import os
import shlex
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape

from iomete_mc_assets import settings
from iomete_mc_assets.errors import ControlPlaneError, SecretLost, SettingsError

if TYPE_CHECKING:
    from iomete_mc_assets.montecarlo.answered import Warehouse
    from iomete_mc_assets.montecarlo.control_plane import Api
    from iomete_mc_assets.operations.set_up import NewKey, Plan, Wanted


@click.command(short_help="Make the integration and its ingestion key at Monte Carlo.")
@click.option("--name", default="IOMETE", show_default=True, help="The integration's name.")
@click.option("--collector", help="UUID of the data collector that reaches the lakehouse.")
@click.option(
    "--declare-push",
    is_flag=True,
    help="Declare metadata and query logs as pushed, which ends their collection.",
)
@click.option(
    "--new-credentials", is_flag=True, help="Give Monte Carlo the credentials anew, tested first."
)
@click.option(
    "--renew-key",
    metavar="ID",
    help="Make another ingestion key for this one, whose secret was lost, and delete it then.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def setup(
    name: str,
    collector: str | None,
    *,
    declare_push: bool,
    new_credentials: bool,
    renew_key: str | None,
    yes: bool,
) -> None:
    """Make a custom integration for the lakehouse at Monte Carlo, and an ingestion key for it alone.

    Says what it would do, asks, and does only what is missing: run twice it changes nothing, after an
    error it goes on. MCD_ID and MCD_TOKEN are the API key. IOMETE_URL, IOMETE_USER and IOMETE_TOKEN are
    what Monte Carlo gets for its SQL monitors: run this with those of an account made for it. What to
    put into the environment is printed to stdout, a new key's secret once and never again.
    """
    from iomete_mc_assets.montecarlo.control_plane import ApiConfig, ControlPlane  # noqa: PLC0415 - only commands that ask need it
    from iomete_mc_assets.operations.set_up import integrated, planned  # noqa: PLC0415 - likewise

    api = ControlPlane(ApiConfig.read(os.environ))
    wanted = replace(
        _wanted(name),
        collector=collector and collector.strip().lower(),
        declare_push=declare_push,
        new_credentials=new_credentials,
        renew_key=renew_key,
    )
    console = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)
    plan = planned(api, wanted)
    if plan.key_step == "secret unknown" and not yes:
        wanted, plan = _offered(console, wanted, plan)
    for line in _told(wanted, plan):
        console.print(escape(line))
    if plan.changes and not yes:
        click.confirm("Do this at Monte Carlo?", abort=True, err=True)
    warehouse = integrated(api, wanted, plan)
    console.print(
        f"[green]✓[/green] integration {escape(warehouse.name)}: warehouse {warehouse.uuid}"
    )
    key = _key(api, console, warehouse, wanted, plan, yes=yes)
    _say(warehouse, key, plan, wanted)
    _delete(api, console, plan, key)


def _wanted(name: str) -> "Wanted":
    """From settings."""
    from iomete_mc_assets.operations.set_up import Wanted  # noqa: PLC0415 - as above
    from iomete_mc_assets.warehouse import address  # noqa: PLC0415 - as above

    parsed = address.parse(settings.IOMETE_URL.read(os.environ))
    if parsed.scheme == "thrift":
        msg = (
            "IOMETE_URL is of binary mode (thrift://), and setup gives Monte Carlo an HTTP address. Set it to "
            "the http(s):// address of the compute for this command, or connect it in Monte Carlo by hand."
        )
        raise SettingsError(msg)
    known = os.environ.get(settings.MCD_RESOURCE_UUID.name, "").strip()
    return Wanted(
        name=name,
        warehouse=settings.MCD_RESOURCE_UUID.of(known) if known else None,
        url=parsed.url,
        user=settings.IOMETE_USER.read(os.environ),
        token=settings.IOMETE_TOKEN.read(os.environ),
        key_id=os.environ.get(settings.MCD_INGEST_ID.name, "").strip() or None,
    )


def _offered(console: Console, wanted: "Wanted", plan: "Plan") -> "tuple[Wanted, Plan]":
    """Ask about the one key of this warehouse alone; several, or a shared one, must be named."""
    alone = [one for one in plan.keys if len(one.warehouses) == 1]
    if len(alone) != 1:
        return wanted, plan
    (key,) = alone
    made = f", made {key.created_at:%Y-%m-%d %H:%M}" if key.created_at else ""
    console.print(
        f"An ingestion key for this warehouse exists: {key.id} ({escape(key.description)}{made})."
    )
    question = (
        "Is its secret lost? Then another is made and it is deleted, which ends every push with it"
    )
    if not click.confirm(question, default=False, err=True):
        return wanted, plan
    return replace(wanted, renew_key=key.id), replace(plan, key_step="make", obsolete=(key.id,))


def _told(wanted: "Wanted", plan: "Plan") -> Iterator[str]:
    """The plan in words, without a secret."""
    if plan.warehouse is None:
        yield f"+ make the custom integration {wanted.name!r}; what it shows is pushed, its lineage inferred"
    else:
        yield f"= the custom integration {plan.warehouse.name!r} is there: {plan.warehouse.uuid}"
    if plan.collector is not None:
        yield (
            f"+ have Monte Carlo test and keep the user {wanted.user} and its token, for SQL monitors at "
            f"{wanted.url}, from data collector {plan.collector.name or plan.collector.uuid}"
        )
    else:
        yield "= it has a Spark connection for SQL monitors"
    if plan.declare_push:
        yield "+ declare metadata and query logs as pushed"
    match plan.key_step:
        case "make":
            yield "+ make an ingestion key for this warehouse alone"
        case "keep":
            yield f"= MCD_INGEST_ID {wanted.key_id} may push to it"
        case "secret unknown":
            keys = ", ".join(one.id for one in plan.keys if one.warehouses)
            yield (
                f"= ingestion keys for it exist ({keys}), and none of them is MCD_INGEST_ID: no other is made. "
                "Put the key where pushes run; if its secret is lost, run this with --renew-key and its id"
            )
    for one in plan.obsolete:
        yield f"- delete the ingestion key {one} then: pushes with it are refused from then on"


def _key(
    api: "Api",
    console: Console,
    warehouse: "Warehouse",
    wanted: "Wanted",
    plan: "Plan",
    *,
    yes: bool,
) -> "NewKey | None":
    """The key that was made; None where none had to be."""
    from iomete_mc_assets.operations.set_up import deleted_key, made_key  # noqa: PLC0415 - as above

    if plan.key_step != "make":
        return None
    try:
        key = made_key(api, warehouse, instead_of=wanted.renew_key)
    except SecretLost as lost:
        console.print(f"[red]✗[/red] {escape(str(lost))}")
        if yes or not click.confirm("Delete it now and make another?", err=True):
            raise
        deleted_key(api, lost.key_id)
        key = made_key(api, warehouse, instead_of=wanted.renew_key)
    console.print(
        f"[green]✓[/green] ingestion key {key.id}: its secret is shown now and never again"
    )
    return key


def _delete(api: "Api", console: Console, plan: "Plan", key: "NewKey | None") -> None:
    """Last of all, so that a run that breaks off never leaves a warehouse without the key that was asked for."""
    from iomete_mc_assets.operations.set_up import deleted_key  # noqa: PLC0415 - as above

    for one in plan.obsolete:
        try:
            deleted_key(api, one)
        except ControlPlaneError:
            if key is not None:
                console.print(
                    f"[red]✗[/red] The new key is the one above; {one} may be left. Run this again with "
                    f"{settings.MCD_INGEST_ID.name}={key.id} to delete it."
                )
            raise
        console.print(f"[green]✓[/green] ingestion key {one} deleted")


def _say(warehouse: "Warehouse", key: "NewKey | None", plan: "Plan", wanted: "Wanted") -> None:
    """What belongs into the environment of whatever pushes, as lines a shell takes."""
    lines = {settings.MCD_RESOURCE_UUID.name: warehouse.uuid}
    if key is not None:
        lines |= {settings.MCD_INGEST_ID.name: key.id, settings.MCD_INGEST_TOKEN.name: key.secret}
    elif plan.key_step == "keep" and wanted.key_id is not None:
        lines[settings.MCD_INGEST_ID.name] = wanted.key_id
    for name, value in lines.items():
        click.echo(f"export {name}={shlex.quote(value)}")
