"""The container file and the Helm values, which are not run here, agree with what is: README, dagster.yaml, settings, locks."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from dagster._cli.api import grpc_command

from iomete_mc_assets import definitions, settings

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "deploy.md").read_text()
README = (ROOT / "README.md").read_text()
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
REQUIRED = re.compile(r"^\| `(\w+)` \| \*\*required", re.MULTILINE)
VARIABLE = re.compile(r"^([A-Z_]+)=", re.MULTILINE)
AWS = re.compile(r"AWS_[A-Z_]+")


@pytest.fixture
def values() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "deploy" / "values.yaml").read_text())


@pytest.fixture
def deployment(values: dict[str, Any]) -> dict[str, Any]:
    (only,) = values["dagster-user-deployments"]["deployments"]
    return only


def blocks(kind: str = "") -> list[str]:
    return [text for said, text in FENCED.findall(PAGE) if said == kind]


def snake(name: str) -> str:
    return re.sub(r"([A-Z])", lambda match: "_" + match[1].lower(), name)


def as_dagster_says(given: Mapping[str, Any]) -> dict[str, Any]:
    """The chart writes its values into dagster.yaml under names of the same words."""
    return {
        snake(key): as_dagster_says(cast("Mapping[str, Any]", value))
        if isinstance(value, dict)
        else value
        for key, value in given.items()
    }


def test_the_values_make_the_recommended_dagster_yaml(values: dict[str, Any]) -> None:
    daemon = values["dagsterDaemon"]
    for named_below in ("runCoordinator", "runMonitoring", "runRetries"):
        assert daemon[named_below] == {"enabled": False}
    retention = values["retention"]
    assert retention.pop("enabled")
    made = {
        "telemetry": values["telemetry"],
        **as_dagster_says(
            {
                "pythonLogs": values["pythonLogs"],
                "sensors": daemon["sensors"],
                "schedules": daemon["schedules"],
                "retention": retention,
            }
        ),
        **values["additionalInstanceConfig"],
    }
    assert made == yaml.safe_load((ROOT / "dagster.yaml").read_text())


def test_the_chart_and_the_page_name_the_same_driver(values: dict[str, Any]) -> None:
    (block,) = blocks("yaml")
    page = yaml.safe_load(block)["storage"]["postgres"]["postgres_db"]
    assert values["postgresql"]["postgresqlScheme"] == page["scheme"]


def test_every_variable_is_a_setting_and_no_secret_stands_in_the_values(
    deployment: dict[str, Any],
) -> None:
    known = {setting.name: setting for setting in settings.SETTINGS}
    given = {one["name"]: one["value"] for one in deployment["env"]}
    named = {*given, *(name for block in blocks() for name in VARIABLE.findall(block))}
    others = {name for name in named if not AWS.fullmatch(name)} - {"DAGSTER_DISABLE_TELEMETRY"}
    assert others - known.keys() == set()
    assert not [name for name in given if name in known and known[name].secret]
    assert set(REQUIRED.findall(README)) - named == set()
    for name in given.keys() & known.keys():
        known[name].read(given)


def test_the_code_server_is_started_with_words_that_it_takes(deployment: dict[str, Any]) -> None:
    words = [*deployment["dagsterApiGrpcArgs"], "-p", str(deployment["port"])]
    context = grpc_command.make_context("grpc", words)
    assert context.params["module_name"] == definitions.__name__
    assert f"EXPOSE {deployment['port']}" in DOCKERFILE


def steps(word: str) -> Iterator[str]:
    return (
        line.removeprefix(f"{word} ") for line in DOCKERFILE.splitlines() if line.startswith(word)
    )


def test_the_image_is_installed_as_the_readme_says_from_files_that_exist() -> None:
    installs = [step for step in steps("RUN") if step.startswith("pip ")]
    assert " && ".join(installs) in README
    for step in steps("COPY"):
        *sources, _ = step.split()
        assert [source for source in sources if not (ROOT / source).exists()] == []
    assert set(steps("FROM")) == {"python:3.11-slim"}


def test_the_page_names_the_secrets_the_image_and_the_files_that_the_values_do(
    values: dict[str, Any], deployment: dict[str, Any]
) -> None:
    (commands,) = (block for block in blocks() if "helm upgrade" in block)
    made = re.findall(r"create secret generic (\S+)", commands)
    assert made == [
        values["global"]["postgresqlSecretName"],
        *(one["name"] for one in deployment["envSecrets"]),
    ]
    image = deployment["image"]
    assert set(re.findall(r"REGISTRY\S+", commands)) == {f"{image['repository']}:{image['tag']}"}
    files = re.findall(r"-f (\S+)", commands)
    assert sorted(files) == ["deploy/Dockerfile", "deploy/values.yaml"]
    assert f"deploy/dagster-dagster-user-deployments-{deployment['name']} " in commands


def test_the_lock_of_the_image_has_what_the_values_ask_for(values: dict[str, Any]) -> None:
    assert values["runLauncher"]["type"] == "K8sRunLauncher"
    locked = set(
        re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements/run.txt").read_text(), re.MULTILINE)
    )
    assert {"dagster-k8s", "dagster-postgres", "psycopg2-binary", "s3fs"} <= locked
