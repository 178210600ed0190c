"""What a push sends although it went before, or had an end, and how it goes on. Ledger rule 19; sends nothing."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.manifests.receipts import NO_ORDINALS, Force, Ordinals
from iomete_mc_assets.push.accounts import Account, Ends
from iomete_mc_assets.push.candidates import Candidate
from iomete_mc_assets.windows import HourWindow

KEPT = "Until then each keeps the outcome it had, and no sensor asks for one that had any."
NOBODY_KNOWS = (
    "What was begun of the forced push goes on when pushed again by hand without force; what was not keeps "
    f"its outcome and is forced once more. `iomete-mc receipts` tells which: a forced plan has not ended. {KEPT}"
)
"""Where the store cannot be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What came of one manifest's records in earlier generations, by ordinal.

    Attributes:
        done: accepted at last, and not to go again; not even looked at.
        accepted: accepted at last, whether or not it goes again.
        refused, doubtful: had that end, and stay so: in a forced push that does not name it, and in
            every other one if they had been accepted before that.
        forced: had an end, and goes again, but what this very push had accepted before it broke off.
    """

    done: Ordinals
    accepted: Ordinals
    refused: Ordinals
    doubtful: Ordinals
    forced: Ordinals

    def judged(self, candidates: Iterable[Candidate]) -> Iterator[Candidate]:
        """Candidates as the rules see them, less what keeps its earlier end."""
        if not (self.refused or self.doubtful or self.accepted):
            return iter(candidates)
        return self._judged(candidates)

    def _judged(self, candidates: Iterable[Candidate]) -> Iterator[Candidate]:
        for candidate in candidates:
            if candidate.ordinal in self.refused:
                reason = "refused before; this push was not asked to send it again"
                yield candidate._replace(status="refused", reason=reason)
            elif candidate.ordinal in self.doubtful:
                reason = "in doubt; this push was not asked to send it again"
                yield candidate._replace(status="in_doubt", reason=reason)
            elif candidate.status is None or candidate.ordinal not in self.accepted:
                yield candidate  # any other counts as accepted, by its receipt


def past_of(
    accounts: Sequence[Account], *, settled: bool, force: Force | None, root_run_id: str
) -> Past:
    """The past of a manifest, for the plan of its next generation.

    Args:
        accounts: of all generations.
        settled: the manifest has had an outcome, perhaps before a forced push that broke off.
        force: of this push; None for an ordinary one, which judges all but the accepted anew.
        root_run_id: generations forced by it are this push's own.
    """
    ours = [a for a in accounts if force is not None and a.forced_by == root_run_id]
    others = [a for a in accounts if force is None or a.forced_by != root_run_id]
    ever = Ordinals.joined(account.accepted for account in accounts)
    refused, doubtful = _ended_badly(others, ever, settled=settled)
    named = {"refused": [refused], "in_doubt": [doubtful], "all": [ever, refused, doubtful]}
    forced = Ordinals.joined(named[force] if force is not None else [])
    forced = forced.without([account.accepted for account in ours])
    if force is None:
        refused = doubtful = NO_ORDINALS
    # accepted once, it goes again by force alone, and until then its latest end is the one that counts
    last = Ends.of(accounts, finished=True)
    refused = Ordinals.joined([refused.without([ever]), last.refused.common(ever)])
    doubtful = Ordinals.joined([doubtful.without([ever]), last.doubtful.common(ever)])
    return Past(
        done=last.accepted.without([forced]),
        accepted=last.accepted,
        refused=refused.without([forced]),
        doubtful=doubtful.without([forced]),
        forced=forced,
    )


def _ended_badly(
    accounts: Sequence[Account], ever: Ordinals, *, settled: bool
) -> tuple[Ordinals, Ordinals]:
    """Records refused and in doubt at last. Before the outcome, what was never accepted is only so when refused alone."""
    ends = Ends.of(accounts, finished=True)
    if settled:
        return ends.refused, ends.doubtful
    alone = Ends.of(accounts, finished=False).refused
    refused = Ordinals.joined([alone, ends.refused.common(ever)])
    return refused, ends.doubtful.common(ever)


def how_it_goes_on(flow: Flow, begun: Mapping[HourWindow, Mapping[str, bool]], force: Force) -> str:
    """What whoever forced a push is told of the hours that it did not settle.

    Args:
        flow: of all hours.
        begun: of each hour's manifests, whether a push without force goes on with them.
        force: what was asked for.
    """
    goes_on = [window for window, each in begun.items() if any(each.values())]
    again = [window.key for window in begun if window not in goes_on]
    told: list[str] = []
    if goes_on:
        keys = ", ".join(window.key for window in goes_on)
        told.append(f"Pushed by hand without force, these go on: {keys}.")
    for window in goes_on:
        left = [manifest_id for manifest_id, is_begun in begun[window].items() if not is_begun]
        if left:
            told.append(f"Of {window.key}, nothing of {', '.join(left)} was begun.")
    if again:
        command = f"iomete-mc push {flow} {' '.join(again)} --force {force}"
        told.append(f"Of these nothing was begun, so force them once more: `{command}`.")
    return " ".join((*told, KEPT))
