"""Files that other collectors drop, from the folder to the gateway, through the real definitions and their sensor."""

# Dagster types what it runs in part only.
# pyright: reportUnknownMemberType=false

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from iomete_mc_assets import clock
from iomete_mc_assets.defs import imported
from iomete_mc_assets.defs.build import build_definitions
from iomete_mc_assets.defs.keys import (
    IMPORT_JOB,
    IMPORTED_FILES,
    IMPORTED_KEY,
    PUSHED_IMPORTED_KEY,
    WATCH,
)
from iomete_mc_assets.defs.resources import AlertsResource
from iomete_mc_assets.manifests.storage import Storage
from iomete_mc_assets.sandbox import gateway_faults as faults
from iomete_mc_assets.sandbox import other_collectors as samples
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets_tests import toolkit_samples
from iomete_mc_assets_tests.dagster_processes import DagsterProcesses, wait_for
from iomete_mc_assets_tests.webhook import webhook


@dataclass
class Site:
    """An installation with a folder for files."""

    instance: dg.DagsterInstance
    gateway: Gateway
    folder: Path
    environment: dict[str, str]

    @property
    def definitions(self) -> dg.Definitions:
        return build_definitions(environment=self.environment)

    def drop(self, source: str, name: str, content: object) -> str:
        """Write a file; returns its partition key."""
        (self.folder / source).mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str) else json.dumps(content)
        (self.folder / source / name).write_text(text)
        return f"{source}/{name}"

    def look(self, *, later: timedelta = timedelta()) -> dg.SensorResult | dg.SkipReason:
        return imported.tick(
            self.instance, self.environment, now_s=(clock.now() + later).timestamp()
        )

    def asked(self, *, later: timedelta = timedelta()) -> list[dg.RunRequest]:
        """The sensor's run requests, after its partitions were added as the daemon does."""
        result = self.look(later=later)
        if isinstance(result, dg.SkipReason):
            return []
        for request in result.dynamic_partitions_requests or ():
            assert isinstance(request, dg.AddDynamicPartitionsRequest)
            self.instance.add_dynamic_partitions(IMPORTED_FILES, list(request.partition_keys))
        return list(result.run_requests or ())

    def run(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        job = self.definitions.resolve_job_def(IMPORT_JOB)
        return job.execute_in_process(
            instance=self.instance, partition_key=request.partition_key, raise_on_error=False
        )

    def work(self, *, later: timedelta = timedelta()) -> dict[str, bool]:
        """Run what the sensor asks for; whether each file's run succeeded."""
        return {str(one.partition_key): self.run(one).success for one in self.asked(later=later)}

    def settled(self) -> dg.AssetCheckEvaluation:
        """What the check says, as the schedule ``watch_checks`` has it evaluated."""
        job = self.definitions.resolve_job_def(WATCH)
        run = job.execute_in_process(instance=self.instance, raise_on_error=False)
        evaluations = run.get_asset_check_evaluations()
        [said] = [one for one in evaluations if one.check_name == "files_settled"]
        assert said.severity is dg.AssetCheckSeverity.WARN
        return said

    def newest(self, key: dg.AssetKey, partition: str) -> dg.AssetMaterialization:
        found = self.instance.fetch_materializations(
            dg.AssetRecordsFilter(key, asset_partitions=[partition]), limit=1
        ).records
        materialization = found[0].asset_materialization
        assert materialization is not None
        return materialization

    def tables_at(self, kind: str) -> dict[str, object]:
        """The description of each table at a source's warehouse."""
        sent = [
            one
            for one in self.gateway.requests
            if toolkit_samples.WAREHOUSES[kind] in one.resource_uuids
        ]
        events = (
            event.content["relational_asset"]["metadata"]
            for one in sent
            for event in self.gateway.events("metadata", invocation_id=one.invocation_id)
        )
        return {one["name"]: one.get("description") for one in events if "description" in one}


@pytest.fixture
def now() -> datetime:
    return clock.now().replace(microsecond=0)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with Gateway(keys=[toolkit_samples.KEY]) as gateway, dg.DagsterInstance.ephemeral() as instance:
        environment = {
            "IOMETE_MC_MANIFESTS": str(tmp_path / "manifests"),
            "IOMETE_MC_IMPORTS": str(tmp_path / "dropped"),
            "IOMETE_MC_IMPORT_SOURCES": toolkit_samples.SOURCES,
            "MCD_INGEST_ID": toolkit_samples.KEY.id,
            "MCD_INGEST_TOKEN": toolkit_samples.KEY.secret,
            "MCD_INGEST_ENDPOINT": gateway.url,
        }
        for name, text in environment.items():
            monkeypatch.setenv(name, text)
        yield Site(instance, gateway, tmp_path / "dropped", environment)


def test_nothing_of_it_exists_unless_the_setting_is_there() -> None:
    definitions = build_definitions(environment={}).get_repository_def()
    assert IMPORTED_KEY not in definitions.assets_defs_by_key
    assert not definitions.has_job(IMPORT_JOB)
    assert IMPORT_JOB not in {sensor.name for sensor in definitions.sensor_defs}


def test_a_file_that_nobody_takes_in_shows_within_half_an_hour(site: Site, now: datetime) -> None:
    kind, written_at_s = samples.KINDS[0], (now - timedelta(minutes=13)).timestamp()
    content = samples.metadata(kind, collected_at=now)
    key = site.drop(kind, "metadata.json", content)
    assert site.settled().passed  # its minute has not come
    os.utime(site.folder / key, times=(written_at_s, written_at_s))
    waits = site.settled()
    assert not waits.passed
    assert key in str(waits.description)
    assert site.work() == {key: True}
    assert site.settled().passed
    site.drop(kind, "metadata.json", "{")
    os.utime(site.folder / key, times=(written_at_s, written_at_s))
    assert site.work() == {key: False}
    assert not site.settled().passed


def test_all_six_kinds_are_seen_taken_in_and_pushed_and_then_left_alone(
    site: Site, now: datetime
) -> None:
    for kind in samples.KINDS:
        site.drop(kind, "metadata.json", samples.metadata(kind, collected_at=now))
        starts = (now - timedelta(hours=3), now - timedelta(hours=1))
        site.drop(kind, "q.json", samples.query_logs(kind, collected_at=now, starts=starts))
    site.drop("hive", "notes.txt", "not looked at")
    site.drop("strange", "m.json", "{}")
    done = site.work()
    assert done == {
        f"{kind}/{name}": True for kind in samples.KINDS for name in ("metadata.json", "q.json")
    }
    counts = site.gateway.counts()
    assert len(site.gateway.events("metadata")) == 6 * 3, counts
    ids = [event.content["query_id"] for event in site.gateway.events("querylogs")]
    assert sorted(ids) == sorted(f"{kind}-{n}" for kind in samples.KINDS for n in (0, 1))
    asset = site.newest(IMPORTED_KEY, "hive/metadata.json").metadata
    assert (asset["tables"].value, asset["MCD_RESOURCE_TYPE"].value) == (2, "data-lake")
    pushed = site.newest(PUSHED_IMPORTED_KEY, "hive/metadata.json").metadata
    assert pushed["monte_carlo/status"].value == "pushed"
    accepted = [one.invocation_id for one in site.gateway.requests]
    assert set(pushed["monte_carlo/invocation_ids"].value) <= set(accepted)  # pyright: ignore[reportArgumentType] - JSON
    looked = site.look()
    assert isinstance(looked, dg.SkipReason)
    assert "12 files, 0 to take in" in str(looked.skip_message)
    assert "strange" in str(looked.skip_message)


def test_a_bad_file_is_red_with_its_place_stays_and_is_asked_for_again_when_it_changed(
    site: Site, now: datetime
) -> None:
    document = samples.metadata("hive", collected_at=now)
    document["assets"][1]["fields"][0]["type"] = 7
    key = site.drop("hive", "m.json", document)
    (request,) = site.asked()
    result = site.run(request)
    assert not result.success
    told = " ".join(str(event.event_specific_data) for event in result.all_events)
    assert "hive/m.json, assets[1].fields[0]: type is 7, not a text" in told
    assert (site.folder / key).read_text() == json.dumps(document)
    assert site.gateway.requests == ()
    (again,) = site.asked()
    assert again.run_key == request.run_key  # Dagster launches each key once
    (hourly,) = site.asked(later=timedelta(hours=1))
    assert hourly.run_key != request.run_key
    site.drop("hive", "m.json", samples.metadata("hive", collected_at=now))
    (changed,) = site.asked()
    assert changed.run_key != request.run_key
    assert site.run(changed).success
    assert site.tables_at("hive") == {"orders": "the orders"}


def test_a_bad_file_is_told_to_whoever_is_told_of_failed_runs(site: Site) -> None:
    site.drop("hive", "m.json", "{}")
    (request,) = site.asked()
    result = site.run(request)
    sensor = site.definitions.get_repository_def().get_sensor_def("alert_on_failure")
    assert isinstance(sensor, dg.RunStatusSensorDefinition)
    with webhook() as hook:
        context = dg.build_run_status_sensor_context(
            sensor_name=sensor.name,
            dagster_event=result.get_run_failure_event(),
            dagster_instance=site.instance,
            dagster_run=result.dagster_run,
            resources={"alerts": AlertsResource(webhook=hook.url)},
        ).for_run_failure()
        sensor(context)
    (body,) = hook.bodies
    assert body["text"].startswith(f"{IMPORT_JOB} hive/m.json failed: hive/m.json, the whole file:")


def test_what_monte_carlo_did_not_take_is_red_and_goes_with_the_next_look_that_asks(
    site: Site, now: datetime
) -> None:
    site.drop("hive", "m.json", samples.metadata("hive", collected_at=now))
    site.gateway.rule(faults.answers(401))
    assert site.work() == {"hive/m.json": False}
    site.gateway.clear()
    assert site.work(later=timedelta(hours=1)) == {"hive/m.json": True}
    assert len(site.gateway.events("metadata")) == 3
    assert site.work(later=timedelta(hours=2)) == {}


def test_an_older_file_that_comes_late_does_not_tell_what_a_newer_one_has_told(
    site: Site, now: datetime
) -> None:
    newer, older = (
        samples.metadata("snowflake", collected_at=at) for at in (now, now - timedelta(minutes=5))
    )
    newer["assets"][0]["description"] = "newer"
    older["assets"][1] |= {"name": "only_in_the_older", "description": "older"}
    site.drop("snowflake", "b.json", newer)
    assert site.work() == {"snowflake/b.json": True}
    site.drop("snowflake", "a.json", older)
    assert site.work() == {"snowflake/a.json": True}
    assert site.tables_at("snowflake") == {"orders": "newer", "only_in_the_older": "older"}


def test_the_sensor_as_dagster_evaluates_it_adds_the_partition_that_its_run_is_for(
    site: Site, now: datetime, tmp_path: Path
) -> None:
    key = site.drop("hive", "m.json", samples.metadata("hive", collected_at=now))
    repository = site.definitions.get_repository_def()
    (tmp_path / "dagster").mkdir()
    with (
        dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance,
        dg.SensorEvaluationContext(
            instance_ref=instance.get_ref(),
            last_tick_completion_time=None,
            last_run_key=None,
            cursor=None,
            repository_name=repository.name,
            repository_def=repository,
            sensor_name=IMPORT_JOB,
        ) as context,
    ):
        ticked = repository.get_sensor_def(IMPORT_JOB).evaluate_tick(context)
    assert [one.tags["dagster/partition"] for one in ticked.run_requests or ()] == [key]
    added = [
        (one.partitions_def_name, list(one.partition_keys))
        for one in ticked.dynamic_partitions_requests or ()
    ]
    assert added == [(IMPORTED_FILES, [key])]


def test_a_partition_that_is_no_file_and_a_file_that_is_gone_say_so(site: Site) -> None:
    for key, says in (
        ("hive/gone.json", "Was it removed?"),
        ("nonsense", "source/name.json"),
        ("teradata/m.json", "names no source teradata"),
        ("hive/x/../../secret.json", "source/name.json"),
    ):
        site.instance.add_dynamic_partitions(IMPORTED_FILES, [key])
        result = site.run(dg.RunRequest(partition_key=key))
        told = " ".join(str(event.event_specific_data) for event in result.all_events)
        assert (result.success, says in told) == (False, True), key


def test_files_in_a_bucket_are_seen_too(
    site: Site, now: datetime, s3_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {"IOMETE_MC_IMPORTS": f"{s3_root}/dropped", "IOMETE_MC_MANIFESTS": s3_root}
    site.environment |= places
    for name, text in places.items():
        monkeypatch.setenv(name, text)
    storage = Storage.open(f"{s3_root}/dropped")
    document = json.dumps(samples.metadata("bigquery", collected_at=now)).encode()
    storage.write("bigquery/m.json", document)
    assert site.work() == {"bigquery/m.json": True}
    assert len(site.gateway.events("metadata")) == 3
    assert site.work() == {}
    storage.write("bigquery/m.json", document.replace(b"the orders", b"other orders"))
    assert site.work() == {"bigquery/m.json": True}
    assert site.tables_at("bigquery") == {"orders": "other orders"}


def test_the_real_daemon_takes_in_and_pushes_what_is_dropped_and_names_what_is_bad(
    site: Site, now: datetime, tmp_path: Path
) -> None:
    site.drop("hive", "m.json", samples.metadata("hive", collected_at=now))
    site.drop("hive", "bad.json", "{}")
    environment = {**site.environment, "IOMETE_MC_AUTOMATION": "running"}
    with DagsterProcesses(tmp_path / "home", environment) as running:
        failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], job_name=IMPORT_JOB)

        def done() -> bool:
            pushed = running.instance.fetch_materializations(PUSHED_IMPORTED_KEY, limit=5).records
            return bool(pushed) and bool(running.instance.get_runs_count(failed))

        wait_for(done, within_s=400, what="one file to be pushed and one to be refused")
        (bad,) = running.instance.get_runs(failed)
        assert bad.tags["dagster/partition"] == "hive/bad.json"
        assert running.instance.get_dynamic_partitions(IMPORTED_FILES) == [
            "hive/bad.json",
            "hive/m.json",
        ]
    assert site.tables_at("hive") == {"orders": "the orders"}
