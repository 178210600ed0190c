"""`iomete-mc lineage`: custom lineage nodes and edges at Monte Carlo. What they are lives in ``operations.lineage_by_hand``."""

import os
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click
from rich.console import Console
from rich.markup import escape

from iomete_mc_assets import clock, settings
from iomete_mc_assets.errors import SettingsError
from iomete_mc_assets.manifests.store import ManifestStore

if TYPE_CHECKING:
    from iomete_mc_assets.operations.lineage_by_hand import (
        ByHand,
        EdgeWish,
        NodeWish,
        Step,
        Verdict,
        Wish,
    )

MARKS: "dict[Verdict, str]" = {
    "make": "+",
    "change": "~",
    "keep": "=",
    "remove": "-",
    "gone": "=",
    "refuse": "✗",
}
DONE: "dict[Verdict, str]" = {"make": "made", "change": "changed", "remove": "removed"}
LATE: "dict[Verdict, str]" = {
    "make": "is not shown yet",
    "change": "is not shown",
    "remove": "is still shown, late or because of a push from elsewhere or of queries, which nobody can remove",
}
Command = Callable[..., None]

yes_option = click.option("--yes", is_flag=True, help="Do not ask.")
expires_option = click.option(
    "--expires",
    default="never",
    show_default=True,
    metavar="WHEN",
    help="A day (2027-01-31) or an instant with its zone; then Monte Carlo forgets it.",
)
file_option = click.option(
    "--file",
    "path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML with `nodes:` and `edges:`; each command takes its own.",
)


@click.group(short_help="Add, remove and show lineage nodes and edges by hand.")
def lineage() -> None:
    """Lineage that nobody pushes: custom nodes and edges at Monte Carlo, for the API key (MCD_ID, MCD_TOKEN).

    A node is written TYPE:ID: report:weekly for one made by hand, table:sales:default.orders or
    view:sales:default.totals for tables as Monte Carlo shows them. All are of the warehouse MCD_RESOURCE_UUID.
    Each command says what it would do, asks, and does only what is missing: run twice it changes nothing.
    """


@lineage.group(short_help="Custom nodes.")
def node() -> None:
    """Nodes that are no tables: reports, models, jobs."""


@lineage.group(short_help="Custom edges.")
def edge() -> None:
    """Edges from a source to what is made of it.

    Monte Carlo neither deletes a single edge nor tells who made it. So edges that are made here are on record
    in the manifest store, and only those are removed, by an expiry that is now.
    """


@node.command("add", short_help="Make or update custom nodes.")
@click.argument("refs", metavar="[NODE]...", nargs=-1)
@click.option("--name", help="As shown to people; the id by default.")
@expires_option
@file_option
@yes_option
def add_nodes(
    refs: tuple[str, ...], name: str | None, expires: str, path: Path | None, *, yes: bool
) -> None:
    """Make or update custom nodes; without --expires they do not expire."""
    from iomete_mc_assets.operations.lineage_by_hand import NodeWish, Ref  # noqa: PLC0415 - only commands that ask need it

    if name is not None and len(refs) != 1:
        msg = "--name is of one node"
        raise click.UsageError(msg)
    at = _expiry(expires)
    given = [NodeWish(ref=Ref.read(text), name=name, expire_at=at) for text in refs]
    _change([*given, *_nodes(path)], lambda hand, wishes: hand.adding(wishes), yes=yes)


@node.command("remove", short_help="Delete custom nodes with their edges.")
@click.argument("refs", metavar="[NODE]...", nargs=-1)
@file_option
@yes_option
def remove_nodes(refs: tuple[str, ...], path: Path | None, *, yes: bool) -> None:
    """Delete custom nodes, which takes their edges along."""
    _change(_named_nodes(refs, path), lambda hand, wishes: hand.removing(wishes), yes=yes)


@node.command("show", short_help="Show nodes.")
@click.argument("refs", metavar="[NODE]...", nargs=-1)
@file_option
def show_nodes(refs: tuple[str, ...], path: Path | None) -> None:
    """Show nodes, who made them and when they expire; changes nothing."""
    _show(_by_hand().showing(_some(_named_nodes(refs, path))))


@edge.command("add", short_help="Make or update custom edges.")
@click.argument("refs", metavar="[FROM TO]", nargs=-1)
@expires_option
@file_option
@yes_option
def add_edges(refs: tuple[str, ...], expires: str, path: Path | None, *, yes: bool) -> None:
    """Make or update an edge between two nodes that are there; without --expires it does not expire."""
    wishes = [*_named_edges(refs, expire_at=_expiry(expires)), *_edges(path)]
    _change(wishes, lambda hand, wishes: hand.adding(wishes), yes=yes)


@edge.command("remove", short_help="Remove edges that were made from here.")
@click.argument("refs", metavar="[FROM TO]", nargs=-1)
@file_option
@yes_option
def remove_edges(refs: tuple[str, ...], path: Path | None, *, yes: bool) -> None:
    """Set the expiry of edges that were made from this store to now, and look whether they are gone.

    A pushed edge is refused: Monte Carlo has no operation that deletes one.
    """
    wishes = [*_named_edges(refs), *_edges(path)]
    _change(wishes, lambda hand, wishes: hand.removing(wishes), yes=yes)


@edge.command("show", short_help="Show edges.")
@click.argument("refs", metavar="[FROM TO]", nargs=-1)
@file_option
def show_edges(refs: tuple[str, ...], path: Path | None) -> None:
    """Show an edge, or those of a file, or all that were made from this store; changes nothing."""
    wishes, hand = [*_named_edges(refs), *_edges(path)], _by_hand()
    _show(hand.showing(wishes or hand.on_record()))


def _change(
    wishes: "Sequence[Wish]",
    planned: "Callable[[ByHand, Sequence[Wish]], list[Step]]",
    *,
    yes: bool,
) -> None:
    """Say what would be done, ask, do it, and look."""
    hand = _by_hand()
    steps = planned(hand, _some(wishes))
    _show(steps)
    if refused := [step for step in steps if step.verdict == "refuse"]:
        msg = f"{len(refused)} of {len(steps)} cannot be done; nothing was changed."
        raise click.ClickException(msg)
    todo = [step for step in steps if step.verdict in DONE]
    console = Console(soft_wrap=True, highlight=False, emoji=False)
    if not todo:
        console.print("Nothing to do.")
        return
    if not yes:
        click.confirm("Do this at Monte Carlo?", abort=True)
    late: list[Step] = []
    for step in todo:
        if hand.do(step):
            console.print(f"[green]✓[/green] {escape(str(step.wish))} {DONE[step.verdict]}")
        else:
            late.append(step)
    if late:
        listed = "; ".join(f"{step.wish} {LATE[step.verdict]}" for step in late[:5])
        msg = f"Monte Carlo took it, and: {listed}. Look again in some minutes: the same command looks first."
        raise click.ClickException(msg)


def _show(steps: "Sequence[Step]") -> None:
    console = Console(soft_wrap=True, highlight=False, emoji=False)
    for step in steps:
        console.print(escape(f"{MARKS[step.verdict]} {step.wish}: {step.text}"))
    if not steps:
        console.print("No edge was made from this store.")


def _by_hand() -> "ByHand":
    from iomete_mc_assets.montecarlo.control_plane import ApiConfig, ControlPlane  # noqa: PLC0415 - only commands that ask need it
    from iomete_mc_assets.operations.lineage_by_hand import ByHand  # noqa: PLC0415 - likewise
    from iomete_mc_assets.push.config import PushConfig  # noqa: PLC0415 - likewise

    api = ControlPlane(ApiConfig.read(os.environ))
    store = ManifestStore.open(settings.IOMETE_MC_MANIFESTS.read(os.environ), source=None)
    return ByHand(api, store, PushConfig.read(os.environ).destination, now=clock.now())


def _some(wishes: "Sequence[Wish]") -> "Sequence[Wish]":
    if not wishes:
        msg = "name what is meant, or give --file"
        raise click.UsageError(msg)
    return wishes


def _named_nodes(refs: Sequence[str], path: Path | None) -> "list[NodeWish]":
    from iomete_mc_assets.operations.lineage_by_hand import NodeWish, Ref  # noqa: PLC0415 - as above

    return [*(NodeWish(ref=Ref.read(text)) for text in refs), *_nodes(path)]


def _named_edges(refs: Sequence[str], *, expire_at: datetime | None = None) -> "list[EdgeWish]":
    from iomete_mc_assets.operations.lineage_by_hand import NEVER, EdgeWish, Ref  # noqa: PLC0415 - as above

    if not refs:
        return []
    if len(refs) != 2:  # noqa: PLR2004 - an edge's ends
        msg = "an edge takes FROM and TO"
        raise click.UsageError(msg)
    source, destination = map(Ref.read, refs)
    return [EdgeWish(source=source, destination=destination, expire_at=expire_at or NEVER)]


def _expiry(given: object) -> datetime:
    """An instant to come, from the command line or from YAML, which knows days and instants itself."""
    from iomete_mc_assets.operations.lineage_by_hand import NEVER  # noqa: PLC0415 - as above

    if given is None or given == "never":
        return NEVER
    found = given
    if isinstance(given, str):
        try:
            found = datetime.fromisoformat(given) if "T" in given else date.fromisoformat(given)
        except ValueError:
            found = None
    if isinstance(found, date) and not isinstance(found, datetime):
        found = datetime.combine(found, time.min, UTC)
    if not isinstance(found, datetime) or found.tzinfo is None:
        msg = f"{given!r} is no expiry. It takes never, a day (2027-01-31, as it begins in UTC) or an instant with its zone (2027-01-31T18:00:00Z)."
        raise SettingsError(msg)
    if found <= clock.now():
        msg = f"{given} is past: what is to end now is removed with `iomete-mc lineage`'s remove."
        raise SettingsError(msg)
    return found


def _nodes(path: Path | None) -> "list[NodeWish]":
    from iomete_mc_assets.operations.lineage_by_hand import NodeWish, Ref  # noqa: PLC0415 - as above

    return [
        NodeWish(
            ref=Ref.read(_word(path, one, "node")),
            name=_word(path, one, "name") if "name" in one else None,
            expire_at=_expiry(one.get("expires")),
        )
        for one in _listed(path, "nodes", required={"node"}, optional={"name", "expires"})
    ]


def _edges(path: Path | None) -> "list[EdgeWish]":
    from iomete_mc_assets.operations.lineage_by_hand import EdgeWish, Ref  # noqa: PLC0415 - as above

    return [
        EdgeWish(
            source=Ref.read(_word(path, one, "from")),
            destination=Ref.read(_word(path, one, "to")),
            expire_at=_expiry(one.get("expires")),
        )
        for one in _listed(path, "edges", required={"from", "to"}, optional={"expires"})
    ]


def _listed(
    path: Path | None, section: str, *, required: set[str], optional: set[str]
) -> list[dict[str, object]]:
    """The entries of one section of a file; none without a file."""
    if path is None:
        return []
    import yaml  # noqa: PLC0415 - only with a file

    try:
        content: object = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        msg = f"{path} is no YAML: {error}"
        raise SettingsError(msg) from None
    sections = cast("dict[str, object]", content) if isinstance(content, dict) else {}
    if not sections or not sections.keys() <= {"nodes", "edges"}:
        msg = f"{path} takes the lists `nodes:` and `edges:`, and nothing else."
        raise SettingsError(msg)
    listed: object = sections.get(section) or list[object]()
    entries = cast("list[object]", listed) if isinstance(listed, list) else [listed]
    for number, one in enumerate(entries, start=1):
        keys = cast("dict[str, object]", one).keys() if isinstance(one, dict) else set[str]()
        if not required <= keys <= required | optional:
            takes = f"{', '.join(sorted(required))} and perhaps {', '.join(sorted(optional))}"
            msg = f"{path}: entry {number} of {section} takes {takes}, not {one!r}."
            raise SettingsError(msg)
    return cast("list[dict[str, object]]", entries)


def _word(path: Path | None, entry: dict[str, object], key: str) -> str:
    value = entry[key]
    if not isinstance(value, str):
        msg = f"{path}: {key} is a text, not {value!r}; put it in quotes."
        raise SettingsError(msg)
    return value
