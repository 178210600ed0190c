"""Collecting and pushing on machines that share nothing but a PostgreSQL server and a bucket, as docs/deploy.md sets them up."""

import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner
from dagster._cli import cli

from iomete_mc_assets.defs.keys import (
    COLLECT_METADATA,
    COLLECT_QUERIES,
    FLOWS,
    LAKEHOUSE_POOL,
    MONTE_CARLO_POOL,
    push_job_name,
)
from iomete_mc_assets.defs.materializations import json_list, number
from iomete_mc_assets.defs.metadata import INVOCATION_IDS
from iomete_mc_assets.defs.partitions import range_request
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.sandbox.lakehouse import RunningLakehouse
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.dagster_processes import (
    ROOT,
    DagsterProcesses,
    executable,
    process_environment,
    write_dagster_yaml,
)
from iomete_mc_assets_tests.flow.conftest import QUERY_LOG
from iomete_mc_assets_tests.flow.daemon import PATIENCE_S, QUERIES, Daemon
from iomete_mc_assets_tests.object_store import ObjectStore
from iomete_mc_assets_tests.postgres import PostgresServer
from iomete_mc_assets_tests.push_bench import leading_to

MODULE = "iomete_mc_assets.definitions"
PAGE = (ROOT / "docs" / "deploy.md").read_text()
POOLS = {LAKEHOUSE_POOL: (1, False), MONTE_CARLO_POOL: (1, False)}
"""Slots, and that they are not made by the first run that asks."""
STATE = re.compile(r"manifest|\.db$|\.jsonl|tables\.json|store\.json")
"""Names of files in which a machine would keep something."""


@pytest.fixture
def shared(
    s3_root: str, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Mapping[str, str]]:
    """All that the machines have in common, as variables."""
    with PostgresServer() as postgres:
        for name, text in postgres.environment.items():
            monkeypatch.setenv(name, text)
        yield {
            **postgres.environment,
            **object_store.environment,
            "IOMETE_MC_MANIFESTS": s3_root,
        }


def storage() -> str:
    """What docs/deploy.md says dagster.yaml needs."""
    (block,) = re.findall(r"^```yaml\n(storage:.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return block


def set_up(home: Path) -> None:
    """What docs/deploy.md says is to be done once."""
    write_dagster_yaml(home, storage())
    commands = re.findall(r"^dagster (instance concurrency set .*)$", PAGE, re.MULTILINE)
    assert len(commands) == len(POOLS)
    for words in commands:
        done = CliRunner().invoke(cli, words.split(), env={"DAGSTER_HOME": str(home)})
        assert done.exit_code == 0, done.output
    with dg.DagsterInstance.from_config(str(home)) as instance:
        limits = instance.event_log_storage.get_pool_limits()
        assert {one.name: (one.limit, one.from_default) for one in limits} == POOLS


def collected_elsewhere(
    folder: Path, environment: Mapping[str, str], job: str, hours: Sequence[HourWindow]
) -> list[str]:
    """One run in a folder of its own, which is then removed with all that is in it; what it kept."""
    write_dagster_yaml(folder / "dagster", storage())
    request = range_request(list(hours), run_key=job, tags={})
    done = subprocess.run(  # noqa: S603 - our own program
        [
            *(executable("dagster"), "job", "execute", "-m", MODULE, "-j", job),
            *("--tags", json.dumps(request.tags)),
        ],
        cwd=folder,
        env=process_environment(folder / "dagster", environment),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    kept = state_in(folder)
    shutil.rmtree(folder)
    return kept


def state_in(folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob("*") if STATE.search(path.name)]


def test_hours_collected_on_machines_that_are_gone_are_pushed_by_another_whole_and_once(
    sandbox: RunningLakehouse,
    gateway: Gateway,
    shared: Mapping[str, str],
    tmp_path: Path,
    last_hours: list[HourWindow],
) -> None:
    """The collecting ones have no key of Monte Carlo's, the pushing one no token of the lakehouse's."""
    hours = last_hours[1:]
    lakehouse = {
        **QUERY_LOG,
        "IOMETE_URL": sandbox.url,
        "IOMETE_USER": sandbox.user,
        "IOMETE_TOKEN": sandbox.token,
    }
    pushing = {
        **shared,
        **leading_to(gateway),
    }
    home = tmp_path / "pushing"
    dagster = DagsterProcesses(home / "dagster", pushing, module=MODULE, storage=storage())
    set_up(home / "dagster")

    def collect() -> list[str]:
        jobs = (COLLECT_METADATA, COLLECT_QUERIES)
        seen = {**shared, **lakehouse}
        return [n for job in jobs for n in collected_elsewhere(tmp_path / job, seen, job, hours)]

    running = Daemon(dagster=dagster, gateway=gateway, home=home, environment=pushing)
    with ExitStack() as while_running:
        collecting = while_running.enter_context(ThreadPoolExecutor()).submit(collect)
        while_running.enter_context(dagster)
        assert collecting.result() == []
        first: tuple[Flow, ...] = ("catalog_snapshot", QUERIES)
        later: list[Flow] = [flow for flow in FLOWS if flow not in first]
        for flow in first:
            dagster.start_sensor(push_job_name(flow))
        running.wait_until_pushed(first, hours, within_s=PATIENCE_S)
        for flow in later:
            dagster.start_sensor(push_job_name(flow))
        running.wait_until_pushed(FLOWS, hours, within_s=PATIENCE_S)
        settled = {flow: running.pushed(flow) for flow in FLOWS}
        collected = running.queries_collected(hours)
    assert state_in(home) == []

    assert sum(collected.values()) > 0
    assert running.queries_accepted() == collected
    assert set(collected.values()) == {1}
    metadata = Counter(event.measures for event in gateway.events("metadata"))
    for measures, flow in ((False, "catalog_snapshot"), (True, "observations")):
        accepted = number(settled[flow][hours[-1]], "monte_carlo/accepted")
        assert metadata[measures] == accepted > 0
    shown = {
        str(one)
        for records in settled.values()
        for record in records.values()
        for one in json_list(record, INVOCATION_IDS)
    }
    assert shown == {request.invocation_id for request in gateway.requests}
