"""What a push sends although it went before, or had an end. Ledger rule 19; sends nothing."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from iomete_mc_assets.manifests.receipts import NO_ORDINALS, Force, Ordinals
from iomete_mc_assets.push.accounts import Account
from iomete_mc_assets.push.candidates import Candidate

GOES_ON = (
    "The forced push goes on when these hours are pushed again, by a retry of this run or by hand; until then each "
    "keeps the outcome it had, and no sensor asks for one that had any."
)
"""What whoever forced a push is told when it broke off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What came of one manifest's records in earlier generations, by ordinal.

    Attributes:
        done: accepted, and not to go again; not even looked at.
        accepted: accepted, whether or not it goes again.
        refused, doubtful: had that end, and stay so in a forced push that does not name it.
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
        settled: the manifest had its outcome: doubts had been sent as often as they may.
        force: of this push; None for an ordinary one, which judges all but the accepted anew.
        root_run_id: generations forced by it are this push's own.
    """
    accepted = own = refused = doubtful = forced = NO_ORDINALS
    for account in accounts:
        ends = [account.accepted, account.refused(finished=settled), account.doubtful]
        accepted = Ordinals.joined([accepted, ends[0]])
        if force is not None and account.forced_by == root_run_id:
            own = Ordinals.joined([own, ends[0]])
            continue
        refused = Ordinals.joined([refused.without(ends), ends[1]])
        doubtful = Ordinals.joined([doubtful.without(ends), ends[2]])
    if not settled:
        doubtful = NO_ORDINALS
    if force == "all":
        forced = Ordinals.joined([accepted, refused, doubtful])
    elif force is not None:
        forced = refused if force == "refused" else doubtful
    forced = forced.without([own])
    stays = force is not None
    return Past(
        done=accepted.without([forced]),
        accepted=accepted,
        refused=refused.without([forced]) if stays else NO_ORDINALS,
        doubtful=doubtful.without([forced]) if stays else NO_ORDINALS,
        forced=forced,
    )
