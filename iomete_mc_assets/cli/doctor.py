"""`iomete-mc doctor`: the installation checked, one line a check. What is asked lives in ``operations.doctor``."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext

import click
import dagster as dg
from rich.console import Console
from rich.markup import escape

from iomete_mc_assets import settings
from iomete_mc_assets.defs.build import build_definitions
from iomete_mc_assets.defs.resources import LakehouseResource
from iomete_mc_assets.errors import IometeMcError
from iomete_mc_assets.montecarlo.control_plane import ApiConfig
from iomete_mc_assets.operations.doctor import (
    API_KEY,
    Check,
    Group,
    Verdict,
    any_red,
    as_json,
    masked,
    settings_checks,
)
from iomete_mc_assets.operations.doctor_lakehouse import lakehouse_checks
from iomete_mc_assets.operations.doctor_monte_carlo import api_checks, monte_carlo_checks
from iomete_mc_assets.operations.doctor_store import imports_checks, store_checks
from iomete_mc_assets.push.config import ingest_config

MARKS: dict[Verdict, str] = {
    "green": "[green]✓[/green]",
    "amber": "[yellow]![/yellow]",
    "red": "[red]✗[/red]",
}
Checks = Iterator[Check]


def run_doctor(*, as_object: bool) -> int:
    """Check everything and tell it; returns the exit code."""
    console = Console(soft_wrap=True, emoji=False)
    found: list[Check] = []
    for group, checks in _groups(os.environ).items():
        with console.status(f"{group} ...") if console.is_terminal else nullcontext():
            of_group = [masked(check, os.environ) for check in _all(group, checks)]
        found += of_group
        if not as_object:
            _show(console, group, of_group)
    if as_object:
        click.echo(json.dumps(as_json(found), indent=2))
    else:
        _sum_up(console, found)
    return 1 if any_red(found) else 0


def _groups(environment: Mapping[str, str]) -> dict[Group, Callable[[], Checks]]:
    return {
        "settings": lambda: settings_checks(environment),
        "lakehouse": lambda: _lakehouse(environment),
        "manifest store": lambda: _store(environment),
        "monte carlo": lambda: _monte_carlo(environment),
        "dagster": lambda: _dagster(environment),
    }


def _all(group: Group, checks: Callable[[], Checks]) -> Checks:
    """The checks of a group; a setting that they need and that cannot be used is red in its place."""
    try:
        yield from checks()
    except IometeMcError as error:
        yield Check(group=group, name="not checked", verdict="red", text=str(error))


def _lakehouse(environment: Mapping[str, str]) -> Checks:
    resource = LakehouseResource()
    catalogs = settings.IOMETE_CATALOGS.read(environment)
    return lakehouse_checks(
        resource.config(),
        catalogs=catalogs,
        query_log=resource.query_log_config() or resource.query_files(earlier=lambda _: None),
    )


def _store(environment: Mapping[str, str]) -> Checks:
    root = settings.IOMETE_MC_MANIFESTS.read(environment)
    try:
        source = LakehouseResource().source()
    except IometeMcError:  # named among the settings
        source = None
    yield from store_checks(root, source=source)
    dropped = settings.IOMETE_MC_IMPORTS.read(environment)
    if dropped is not None:
        sources = settings.IOMETE_MC_IMPORT_SOURCES.read(environment)
        yield from imports_checks(dropped, sources=sources)


def _monte_carlo(environment: Mapping[str, str]) -> Checks:
    uuid = settings.MCD_RESOURCE_UUID.read(environment)
    ingest = ingest_config(environment)
    asked = any(environment.get(name, "").strip() for name in API_KEY)
    yield from monte_carlo_checks(ingest, resource_uuid=uuid, keys_are_asked=asked)
    if asked:
        yield from api_checks(
            ApiConfig.read(environment),
            resource_uuid=uuid,
            key_id=ingest.key_id,
            container=settings.MCD_ETL_CONTAINER_UUID.read(environment),
        )


def _dagster(environment: Mapping[str, str]) -> Checks:
    """Whether the project loads, and whether Dagster's own database answers."""
    definitions = build_definitions(environment=environment)
    assets = len(list(definitions.assets or ()))
    text = f"the project loads with these settings: {assets} assets"
    yield Check(group="dagster", name="definitions", verdict="green", text=text)
    home = environment.get("DAGSTER_HOME")
    if not home:
        text = "DAGSTER_HOME is not set, so `dagster dev` forgets its runs. Set it to a folder with a dagster.yaml."
        yield Check(group="dagster", name="instance", verdict="amber", text=text)
        return
    try:
        with dg.DagsterInstance.get() as instance:
            runs = instance.get_runs_count()
    except Exception as error:  # noqa: BLE001 - Dagster's storages raise their drivers' errors
        text = f"The instance that DAGSTER_HOME names cannot be used ({type(error).__name__}: {error}). Check its dagster.yaml and its database."
        yield Check(group="dagster", name="instance", verdict="red", text=text)
    else:
        text = f"the instance that DAGSTER_HOME names answers, with {runs} runs"
        yield Check(group="dagster", name="instance", verdict="green", text=text)


def _show(console: Console, group: Group, checks: list[Check]) -> None:
    console.print(f"[bold]{group}[/bold]")
    for check in checks:
        if not check.routine:
            told = check.text.removeprefix(f"{check.name}: ")
            console.print(f"  {MARKS[check.verdict]} {escape(check.name)}: {escape(told)}")
    routine = sum(1 for check in checks if check.routine)
    if routine:
        console.print(f"  {MARKS['green']} {routine} more at their defaults; --json has all")


def _sum_up(console: Console, found: list[Check]) -> None:
    red = sum(1 for check in found if check.verdict == "red")
    amber = sum(1 for check in found if check.verdict == "amber")
    if red:
        console.print(f"[red]✗[/red] {red} to mend, {amber} to know about")
    else:
        console.print(f"[green]✓[/green] nothing to mend, {amber} to know about")
