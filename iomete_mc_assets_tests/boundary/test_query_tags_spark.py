"""A tagged statement on its whole way: real Spark runs it, its event log tells it, the push carries it."""

import time
from pathlib import Path

import pytest

from iomete_mc_assets import clock
from iomete_mc_assets.collectors.query_judging import QueryLogRules
from iomete_mc_assets.query_tags import COMMENT, QueryTag
from iomete_mc_assets.records import QueryRecord
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.sandbox.lakehouse import RunningLakehouse
from iomete_mc_assets.settings import QueryText
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.event_log_reading import hours_between, read, run
from iomete_mc_assets_tests.push_bench import Bench

HOSTILE = QueryTag(
    job_id="x'; DROP TABLE raw.orders; --\r\n",
    task_id='marts/"größe" ${spark.master} */ %s \\',
    resource_id="0e0f1a2b-0000-4000-8000-000000000000",
)
STATEMENTS = (
    "SELECT count(*) FROM raw.orders WHERE 'a; -- b' <> ''",
    "SELECT 1 AS one -- ends in a comment",
    "SELECT 2 AS two /* and so */ ;",
    "WITH many AS (SELECT 3 AS three)\nSELECT * FROM many",
    "VALUES (4), (5)",
)


@pytest.mark.parametrize("how", ["whole", "masked"])
def test_a_tag_arrives_with_each_statement_that_real_spark_ran(
    sandbox: RunningLakehouse, gateway: Gateway, tmp_path: Path, how: QueryText
) -> None:
    begun, user = clock.now(), f"tagger-{time.monotonic_ns()}"
    texts = [HOSTILE.on(text) for text in STATEMENTS]
    told = run(sandbox, user, texts)
    assert [one.text for one in told] == texts
    assert {one.status for one in told} == {"succeeded"}
    pushed = push(gateway, tmp_path, kept(sandbox, user, how, HourWindow.holding(begun)))
    assert len(pushed) == len(texts)
    assert [COMMENT.match(text) is not None for text in pushed] == [True] * len(texts)
    assert {text.partition("\n")[0] for text in pushed} == {HOSTILE.comment}
    assert (sorted(pushed) == sorted(texts)) == (how == "whole")


def kept(
    sandbox: RunningLakehouse, user: str, how: QueryText, since: HourWindow
) -> dict[HourWindow, list[QueryRecord]]:
    """What a partition of each hour since then holds of a user's statements."""
    rules = QueryLogRules(query_text=how)
    return {
        window: [one for one in read(sandbox.events, window, rules=rules)[0] if one.user == user]
        for window in hours_between(since.start, clock.now())
    }


def push(gateway: Gateway, root: Path, hours: dict[HourWindow, list[QueryRecord]]) -> list[str]:
    """The texts that the gateway received."""
    bench = Bench(gateway, str(root))
    bench.clock.instant = clock.now()
    for window, records in hours.items():
        bench.collect("query_logs", records, window=window)
        bench.push_one("query_logs", window=window)
    return [event.content["query_text"] for event in gateway.events("querylogs")]
