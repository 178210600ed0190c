"""Other collectors' files in the demo: real runs, a real gateway, and what is then done to files and receipts."""

# Dagster types its ephemeral instance in part only.
# pyright: reportUnknownMemberType=false

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from iomete_mc_assets import clock
from iomete_mc_assets.cli import demo_imported
from iomete_mc_assets.cli.demo import Journey
from iomete_mc_assets.cli.environment import (
    dropped_files,
    prepare_dagster_home,
    pushing_environment,
)
from iomete_mc_assets.defs.build import build_definitions
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.sandbox.gateway_records import AcceptedEvent
from iomete_mc_assets.sandbox.other_collectors import KINDS

EVENTS = 2 + 1 + len(demo_imported.QUERIES_BEGAN_BEFORE)
"""Of a kind: two catalog entries, an observation, and queries."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def gateway(home: Path) -> Iterator[Gateway]:
    """Everything is in it, twice asked for and once sent."""
    with (
        Gateway(home / "gateway", others=KINDS) as running,
        pytest.MonkeyPatch.context() as patch,
        dg.DagsterInstance.from_config(str(prepare_dagster_home(home))) as instance,
    ):
        for name, text in pushing_environment(home, running.connection).items():
            patch.setenv(name, text)
        assert demo_imported.drop(dropped_files(home), now=clock.now()) == 2 * len(KINDS)
        journey = Journey(instance, build_definitions(), [])
        journey.take_in()
        before = running.counts()
        assert demo_imported.drop(dropped_files(home), now=clock.now()) == 2 * len(KINDS)
        journey.take_in()
        assert running.counts() == before
        yield running


def of(kind: str, gateway: Gateway) -> list[AcceptedEvent]:
    return [e for e in gateway.events() if e.resource_uuid == gateway.connection.others[kind]]


def compared(kind: str, home: Path, events: list[AcceptedEvent]) -> tuple[int, list[str]]:
    return demo_imported.compare(kind, dropped_files(home), home / "manifests", events)


@pytest.mark.parametrize("kind", KINDS)
def test_every_event_of_each_kinds_files_is_in_its_warehouse_and_nothing_else(
    gateway: Gateway, home: Path, kind: str
) -> None:
    assert compared(kind, home, of(kind, gateway)) == (EVENTS, [])


def test_an_event_that_is_missing_double_or_another_is_told(gateway: Gateway, home: Path) -> None:
    events = of("redshift", gateway)
    entry, _ = (e for e in events if e.endpoint == "metadata" and not e.measures)  # one request
    rest = [event for event in events if event is not entry]
    asset = {**entry.content["relational_asset"], "type": "VIEW"}
    other = replace(entry, content={"relational_asset": asset})
    for given, told in (
        (rest, ["missing"]),
        ([*events, entry], ["not in the file"]),
        ([*rest, other], ["missing", "not in the file"]),
    ):
        _, differences = compared("redshift", home, given)
        assert [one.partition(":")[0] for one in differences] == told


def test_a_request_without_its_receipt_is_told(
    gateway: Gateway, home: Path, tmp_path: Path
) -> None:
    shutil.copytree(home / "manifests", tmp_path / "manifests")
    receipts = sorted((tmp_path / "manifests/imported/hive").rglob("sent/*/0*.json"))
    lost = json.loads(receipts[0].read_text())["invocation_id"]
    receipts[0].unlink()
    events = of("hive", gateway)
    dropped = dropped_files(home)
    assert demo_imported.compare("hive", dropped, tmp_path / "manifests", events) == (
        EVENTS,
        [f"request {lost}: no receipt"],
    )
    without = [event for event in events if event.invocation_id != lost]
    told = compared("hive", home, without)[1]
    assert f"receipt of {lost}: no such request" in told
