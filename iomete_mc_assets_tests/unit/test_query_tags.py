"""Tags on statements: always one comment line, never a part of what runs, and what Dagster's contexts give."""

# Dagster types what it runs in part only.
# pyright: reportUnknownMemberType=false

import json
import re

import dagster as dg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from iomete_mc_assets.collectors.query_text import WITHHELD, kept
from iomete_mc_assets.query_tags import QueryTag, tagged

anything = st.text(st.characters(codec=None), max_size=30)
TAG = QueryTag(job_id="nightly", task_id="marts/revenue", resource_id="0e0f-1")
SHOWN = '-- {"mcd_job_id": "nightly", "mcd_task_id": "marts/revenue", "mcd_resource_id": "0e0f-1"}'


def test_a_tag_reads_as_monte_carlo_documents_it() -> None:
    assert TAG.on("SELECT 1") == f"{SHOWN}\nSELECT 1"
    without = QueryTag(job_id="nightly", task_id="t")
    assert without.on("SELECT 1").startswith('-- {"mcd_job_id": "nightly", "mcd_task_id": "t"}\n')


@given(anything, anything, anything, anything)
@example("half a \ud83d character", "\U0001f600", "", "SELECT 1")
@example("a\n; DROP TABLE t; --", 'b"}\r\x85\u2028', "${x} %s :y ? \\\n {}", "SELECT 1 -- end")
def test_whatever_ids_hold_the_tag_is_one_harmless_line_and_reads_back(
    job: str, task: str, resource: str, sql: str
) -> None:
    tag = QueryTag(job_id=job, task_id=task, resource_id=resource)
    comment, newline, rest = tag.on(sql).partition("\n")
    assert (newline, rest) == ("\n", sql)
    assert re.fullmatch(r'-- \{["A-Za-z0-9 _./:,\\-]*\}', comment)
    values = {"mcd_job_id": job, "mcd_task_id": task, "mcd_resource_id": resource}
    assert json.loads(comment.removeprefix("-- ")) == values


@given(anything, anything)
def test_a_tagged_statement_is_not_tagged_again(job: str, sql: str) -> None:
    first = QueryTag(job_id=job, task_id="inner").on(sql)
    assert TAG.on(first) == first


@given(anything, anything, anything)
def test_a_tag_survives_masking_and_nothing_else_of_a_comment_does(
    job: str, task: str, resource: str
) -> None:
    tag = QueryTag(job_id=job, task_id=task, resource_id=resource)
    sql = tag.on("SELECT 'secret' -- secret\nFROM t /* secret */ WHERE a = 7")
    assert kept(sql, "masked") == f"{tag.comment}\nSELECT ? FROM t WHERE a = ?"


def test_what_looks_like_a_tag_inside_a_literal_or_says_more_is_masked() -> None:
    assert kept(f"SELECT '\n{SHOWN}\n'", "masked") == "SELECT ?"
    assert "mcd" not in (kept(f"{SHOWN} secret\nSELECT 1", "masked"))
    assert "mcd" not in (kept(SHOWN.replace("nightly", "it's") + "\nSELECT 1", "masked"))


def test_where_no_text_is_kept_no_tag_is() -> None:
    assert kept(TAG.on("SELECT 1"), "none") == WITHHELD


@pytest.fixture
def said() -> dict[str, str]:
    """What assets and ops of one run say of themselves, by the statement they tagged."""
    return {}


def test_tags_name_the_job_and_the_asset_or_the_op(said: dict[str, str]) -> None:
    @dg.asset(key=["marts", "revenue"])
    def asset(context: dg.AssetExecutionContext) -> None:
        said["asset"] = tagged("SELECT 1", context, resource_id="r")

    @dg.multi_asset(specs=[dg.AssetSpec("one"), dg.AssetSpec("two")])
    def both(context: dg.AssetExecutionContext) -> tuple[None, None]:
        said["both"] = tagged("SELECT 2", context, group="sales")
        return None, None

    @dg.op
    def step(context: dg.OpExecutionContext) -> None:
        said["op"] = tagged("SELECT 3", context)

    @dg.job
    def by_hand() -> None:
        step()

    nightly = dg.define_asset_job("nightly", selection="*")
    definitions = dg.Definitions(assets=[asset, both], jobs=[nightly, by_hand])
    repository = definitions.get_repository_def()
    with dg.DagsterInstance.ephemeral() as instance:
        assert repository.get_job("nightly").execute_in_process(instance=instance).success
        assert repository.get_job("by_hand").execute_in_process(instance=instance).success
    ids = {name: json.loads(text.partition("\n")[0][3:]) for name, text in said.items()}
    assert ids == {
        "asset": {
            "mcd_job_id": "nightly",
            "mcd_task_id": "marts/revenue",
            "mcd_resource_id": "r",
        },
        "both": {"mcd_job_id": "sales/nightly", "mcd_task_id": "both"},
        "op": {"mcd_job_id": "by_hand", "mcd_task_id": "step"},
    }
