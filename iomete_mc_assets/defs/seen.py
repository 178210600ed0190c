"""The checks `seen_by_monte_carlo`: receipts of the last day against what Monte Carlo shows. Only with an API key.

What is compared lives in ``operations.verify``. They ask Monte Carlo, which has a daily quota, so they have a
job, a schedule and a budget of their own; ``watch`` leaves them out.
"""

# Dagster's decorators and events are typed in part only.
# pyright: reportUnknownMemberType=false

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

import dagster as dg

from iomete_mc_assets import clock
from iomete_mc_assets.defs.content_checks import NAMED, Now
from iomete_mc_assets.defs.keys import FLOW_TAG, FLOWS, MAX_RUNTIME_TAG, VERIFY, pushed_key
from iomete_mc_assets.defs.previews import markdown, with_rest
from iomete_mc_assets.defs.resources import ManifestStoreResource, MonteCarloResource
from iomete_mc_assets.errors import IometeMcError
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.operations.verify import Finding, Verifier, flow_of, receipts_of

SEEN = "seen_by_monte_carlo"
VERIFY_CRON = "25 */6 * * *"
CALLS = 500
"""Of one run; four a day are a fifth of Monte Carlo's smallest quota, 10,000. Listing 50,000 tables takes half of it."""
LOOK_BACK = timedelta(hours=26)
"""Catalog entries go once a day."""
SAMPLE = 10
MAX_RUNTIME_S = "1800"

SEEN_KEYS = tuple(dg.AssetCheckKey(pushed_key(flow), SEEN) for flow in FLOWS)


def seen_checks(*, now: Now = clock.now) -> dg.AssetChecksDefinition:
    """One check on each pushed asset, all evaluated together: one listing serves them all."""
    description = (
        "Does Monte Carlo show what it accepted in the last 26 hours? Every table, a sample in detail. What is younger "
        "than it needs (15 minutes; query logs an hour) is waited for. Evaluated every six hours, within 500 questions."
    )

    @dg.multi_asset_check(
        name=SEEN,
        specs=[
            dg.AssetCheckSpec(SEEN, asset=pushed_key(flow), description=description)
            for flow in FLOWS
        ],
    )
    def seen_by_monte_carlo(
        manifests: ManifestStoreResource, monte_carlo: MonteCarloResource
    ) -> Iterator[dg.AssetCheckResult]:
        found, trouble = _found(manifests, monte_carlo, now)
        for flow in FLOWS:
            yield _result(flow, [one for one in found if flow_of(one) == flow], trouble)

    return seen_by_monte_carlo


def _found(
    manifests: ManifestStoreResource, monte_carlo: MonteCarloResource, now: Now
) -> tuple[list[Finding], str | None]:
    """What was compared, and why not everything was; that is a warning too, and no failed run."""
    found: list[Finding] = []
    at = now()
    try:
        store, config = manifests.open(), monte_carlo.config()
        receipts = receipts_of(
            store, config.destination, config.naming, since=at - LOOK_BACK, sample=SAMPLE
        )
        if receipts.newest:
            api = monte_carlo.api(max_calls=CALLS)
            verifier = Verifier(api, store, config.destination.resource_uuid, now=at)
            found.extend(verifier.findings(receipts, sample=SAMPLE))
    except (IometeMcError, OSError) as error:
        return found, str(error)
    return found, None


def _result(flow: Flow, found: Sequence[Finding], trouble: str | None) -> dg.AssetCheckResult:
    counts = Counter(one.verdict for one in found)
    wrong = [one for one in found if one.verdict in ("missing", "different")]
    if trouble is not None:
        said = f"Not everything could be compared: {trouble}"
    elif wrong:
        first = wrong[0]
        said = (
            f"{counts['missing']} missing and {counts['different']} different at Monte Carlo, first: {first.subject} "
            f"{first.about}: {first.difference}. `iomete-mc verify` shows all; docs/operating.md says what to do."
        )
    elif not found:
        said = "Nothing was accepted in the last 26 hours, so there is nothing to look for."
    else:
        said = f"{counts['seen']} of {len(found)} are seen, {counts['not yet']} not yet."
    return dg.AssetCheckResult(
        check_name=SEEN,
        asset_key=pushed_key(flow),
        passed=trouble is None and not wrong,
        severity=dg.AssetCheckSeverity.WARN,
        description=said,
        metadata=_metadata(counts, [one for one in found if one.verdict != "seen"]),
    )


def _metadata(
    counts: Mapping[str, int], unseen: Sequence[Finding]
) -> dict[str, int | dg.MetadataValue]:
    names = ("seen", "not yet", "missing", "different")
    metadata: dict[str, int | dg.MetadataValue] = {name: counts.get(name, 0) for name in names}
    if unseen:
        rows = [(one.verdict, one.subject, one.about, one.difference) for one in unseen[:NAMED]]
        table = markdown(("verdict", "what", "of", "difference"), rows)
        metadata["shown"] = dg.MetadataValue.md(with_rest(table, len(unseen), len(rows)))
    return metadata


def seen_job():
    """Evaluates them."""
    return dg.define_asset_job(
        VERIFY,
        selection=dg.AssetSelection.checks(*SEEN_KEYS),
        description="Compares receipts with what Monte Carlo shows; asks its API at most 500 times.",
        tags={FLOW_TAG: VERIFY, MAX_RUNTIME_TAG: MAX_RUNTIME_S},
    )


def seen_schedule(status: dg.DefaultScheduleStatus) -> dg.ScheduleDefinition:
    """Every six hours."""

    @dg.schedule(
        name="verify_at_monte_carlo",
        job_name=VERIFY,
        cron_schedule=VERIFY_CRON,
        execution_timezone="UTC",
        default_status=status,
        description="Every six hours: does Monte Carlo show what it accepted?",
    )
    def verify_at_monte_carlo(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        return dg.RunRequest(run_key=f"verify:{context.scheduled_execution_time:%Y%m%d%H}")

    return verify_at_monte_carlo
