"""What an event shows of a push."""

from dataclasses import replace
from datetime import datetime

import pytest

from iomete_mc_assets.defs import metadata
from iomete_mc_assets.defs.previews import markdown
from iomete_mc_assets.manifests.receipts import Superseding, Word
from iomete_mc_assets.push.outcome import HourOutcome
from iomete_mc_assets.windows import HourWindow

REASON = "hour 2026-11-21-10:00 is newer, and only the newest is sent"
HOUR = HourWindow.from_key("2026-11-21-09:00")


def an_outcome(*, ids: int) -> HourOutcome:
    return HourOutcome(
        window=HOUR,
        manifest_id="m1",
        word="pushed",
        reason=REASON,
        counts={"accepted": 7, "refused": 1},
        notes={"truncated": 2},
        invocation_ids=tuple(f"id-{number}" for number in range(ids)),
        batches=ids,
        sent_bytes=1,
        attempts=ids,
        superseded_by=None,
        settled_at=datetime.fromisoformat("2026-11-21T10:20:00+00:00"),
        reused=False,
    )


def test_why_an_hour_has_its_status_stands_beside_it() -> None:
    shown = metadata.of_push(an_outcome(ids=0), app_url="https://app.example")
    assert list(shown)[:3] == [metadata.IN_WORDS, metadata.PUSH_STATUS, "monte_carlo/reason"]
    assert shown["monte_carlo/reason"].value == REASON


def test_what_took_an_hours_place_stands_beside_why_and_the_manifest_comes_last() -> None:
    newer = Superseding(window=HOUR.next, manifest_id="m2", invocation_ids=("id-7",))
    outcome = replace(an_outcome(ids=0), word="superseded", superseded_by=newer)
    shown = metadata.of_pushed_partition(outcome, app_url="https://app.example")
    assert list(shown)[2:4] == ["monte_carlo/reason", "monte_carlo/superseded_by"]
    assert list(shown)[-1] == metadata.MANIFEST_ID


def test_instants_in_a_preview_are_short_enough_for_the_page() -> None:
    row = markdown(("ended (UTC)",), [(HOUR.end.replace(microsecond=250_000),)])
    assert row.splitlines()[-1] == "| 2026-11-21 10:00:00 |"


def test_what_else_a_push_did_in_the_hour_and_what_it_could_not_force_stand_on_the_event() -> None:
    shown = metadata.of_push(an_outcome(ids=1), app_url="https://app.example")
    assert {"monte_carlo/beside", "monte_carlo/not_forced"}.isdisjoint(shown)
    other = replace(an_outcome(ids=25), manifest_id="m0")
    outcome = replace(an_outcome(ids=1), beside=(other,), not_forced="pruned")
    shown = metadata.of_push(outcome, app_url="https://app.example")
    assert shown["monte_carlo/not_forced"].value == "pruned"
    assert shown["monte_carlo/beside"].value == {
        "m0": {
            "status": "pushed",
            "counts": {"accepted": 7, "refused": 1},
            "batches": 25,
            "invocation_ids": [f"id-{number}" for number in range(20)],
        }
    }


def test_ledger_26_twenty_invocation_ids_are_shown_and_all_are_counted() -> None:
    shown = metadata.of_push(an_outcome(ids=25), app_url="https://app.example")
    ids = shown[metadata.INVOCATION_IDS].value
    assert ids == [f"id-{number}" for number in range(20)]
    assert shown["monte_carlo/invocation_id_count"].value == 25
    assert shown["monte_carlo/link"].value == "https://app.example"


def test_rule_23_cut_texts_are_shown_beside_what_became_of_the_queries() -> None:
    shown = metadata.of_push(an_outcome(ids=1), app_url="https://app.example")
    counts = {name: shown[f"monte_carlo/{name}"].value for name in ("accepted", "refused")}
    assert counts == {"accepted": 7, "refused": 1}
    assert shown["monte_carlo/truncated"].value == 2


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("pushed", "pushed"),
        ("nothing_to_send", "nothing new to send"),
        ("superseded", "superseded by 2026-11-21-10:00"),
        ("partly_refused", "partly refused"),
        ("refused", "refused"),
        ("in_doubt", "outcome unknown"),
    ],
)
def test_how_a_push_ended_is_said_in_words(word: Word, said: str) -> None:
    newer = Superseding(window=HOUR.next, manifest_id="m2", invocation_ids=())
    outcome = replace(an_outcome(ids=0), word=word, superseded_by=newer)
    assert metadata.of_push(outcome, app_url="https://app.example")[metadata.IN_WORDS].value == said


def test_refusals_and_unknown_outcomes_have_a_point_also_where_there_are_none() -> None:
    outcome = replace(an_outcome(ids=0), counts={"superseded": 3}, notes={})
    shown = metadata.of_push(outcome, app_url="https://app.example")
    names = ("accepted", "refused", "in_doubt", "superseded")
    assert [shown[f"monte_carlo/{name}"].value for name in names] == [0, 0, 0, 3]
    assert "monte_carlo/too_old" not in shown
