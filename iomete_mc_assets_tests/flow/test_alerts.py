"""Who is told of a run that failed: the sensor on real failed runs, the sender on a real socket."""

# Dagster types its events and contexts in part only.
# pyright: reportUnknownMemberType=false

from collections.abc import Mapping
from pathlib import Path

import dagster as dg
import pytest

from iomete_mc_assets.defs.build import build_definitions
from iomete_mc_assets.defs.resources import AlertsResource
from iomete_mc_assets.errors import AlertNotSent, SettingsError
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.operations.alert import TRIES, send_alert
from iomete_mc_assets_tests.push_bench import HOUR, SOURCE
from iomete_mc_assets_tests.webhook import PATH, webhook

NO_KEY = {"MCD_RESOURCE_UUID": "00000000-0000-0000-0000-000000000001"}
WHY = "MCD_INGEST_ID is not set"


def alerted(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: Mapping[str, str],
    *,
    tags: Mapping[str, str] | None = None,
) -> tuple[object, str]:
    """Let a push fail without a key; what the sensor returned for that run, and the run's id."""
    for name, text in {**environment, **NO_KEY, "IOMETE_MC_MANIFESTS": str(tmp_path)}.items():
        monkeypatch.setenv(name, text)
    ManifestStore.open(str(tmp_path), source=SOURCE)
    repository = build_definitions().get_repository_def()
    sensor = repository.get_sensor_def("alert_on_failure")
    assert isinstance(sensor, dg.RunStatusSensorDefinition)
    with dg.DagsterInstance.ephemeral() as instance:
        result = repository.get_job("push_query_logs").execute_in_process(
            instance=instance, partition_key=HOUR.key, raise_on_error=False, tags=dict(tags or {})
        )
        context = dg.build_run_status_sensor_context(
            sensor_name=sensor.name,
            dagster_event=result.get_run_failure_event(),
            dagster_instance=instance,
            dagster_run=result.dagster_run,
            resources={"alerts": AlertsResource()},
        ).for_run_failure()
        return sensor(context), result.run_id


def test_a_failed_run_is_one_readable_line_at_the_webhook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with webhook() as hook:
        settings = {"IOMETE_MC_ALERT_WEBHOOK": hook.url, "IOMETE_MC_UI_URL": "https://dagster.test"}
        _, run_id = alerted(tmp_path, monkeypatch, settings)
    (body,) = hook.bodies
    assert list(body) == ["text"]
    assert body["text"].startswith(f"push_query_logs {HOUR.key} failed: {WHY}: ")
    assert body["text"].endswith(f" (https://dagster.test/runs/{run_id})")
    assert "\n" not in body["text"]


def test_a_run_that_dagster_tries_again_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with webhook() as hook:
        skipped, _ = alerted(
            tmp_path,
            monkeypatch,
            {"IOMETE_MC_ALERT_WEBHOOK": hook.url},
            tags={"dagster/will_retry": "true"},
        )
    assert isinstance(skipped, dg.SkipReason)
    assert not hook.bodies


def test_without_a_webhook_the_line_stands_in_the_sensors_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    _, run_id = alerted(tmp_path, monkeypatch, {})
    lines = [line for line in capfd.readouterr().err.splitlines() if f"(run {run_id})" in line]
    assert len(lines) == 1
    assert f"push_query_logs {HOUR.key} failed: {WHY}: " in lines[0]


def test_what_is_no_address_is_named_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match="IOMETE_MC_ALERT_WEBHOOK: its value") as caught:
        alerted(tmp_path, monkeypatch, {"IOMETE_MC_ALERT_WEBHOOK": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_an_answer_that_may_pass_is_asked_for_again() -> None:
    with webhook(503, 429) as hook:
        send_alert("line", webhook=hook.url)
    assert hook.bodies == [{"text": "line"}] * 3


@pytest.mark.parametrize(("answer", "posts"), [(404, 1), (302, 1), (307, 1), (500, TRIES)])
def test_a_line_that_nobody_took_is_an_error_without_the_address(answer: int, posts: int) -> None:
    with (
        webhook(*[answer] * posts) as hook,
        pytest.raises(AlertNotSent, match=f"answered {answer}") as caught,
    ):
        send_alert("line", webhook=hook.url)
    assert len(hook.bodies) == posts
    assert not hook.elsewhere
    assert "hunter2" not in str(caught.value)


def test_a_webhook_that_is_away_is_an_error_without_the_address() -> None:
    with webhook() as hook:
        pass
    with pytest.raises(AlertNotSent, match="cannot be reached") as caught:
        send_alert("line", webhook=hook.url)
    assert caught.value.__cause__ is None
    assert PATH not in f"{caught.value!r}"
