"""What helps people find their way: owners of assets, links to docs in descriptions, tags of runs."""

# Dagster types its instance in part only.
# pyright: reportUnknownMemberType=false

from collections.abc import Mapping
from dataclasses import dataclass

import dagster as dg

from iomete_mc_assets import settings
from iomete_mc_assets.defs.keys import FLOW_TAG

PUSH_PAGE = "https://docs.getmontecarlo.com/docs/push-ingest-api"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guide:
    """What every asset of ours says besides its own words.

    Attributes:
        owners: as Dagster takes them.
        docs_url: where the folder ``docs`` can be read; None for nowhere.
    """

    owners: tuple[str, ...] = ()
    docs_url: str | None = None

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Guide":
        """As configured; SettingsError where an owner or the address cannot be used."""
        return cls(
            owners=settings.IOMETE_MC_OWNERS.read(environment),
            docs_url=settings.IOMETE_MC_DOCS_URL.read(environment),
        )

    def described(self, text: str, *more: str) -> str:
        """A description with where to read on; a file's name where nobody said where docs are."""
        pages = ("operating.md", "follow-one-partition.md")
        shown = [
            f"`docs/{page}`" if self.docs_url is None else f"[{page}]({self.docs_url}/{page})"
            for page in pages
        ]
        return f"{text}\n\nRead on: {', '.join([*shown, *more])}."


NO_GUIDE = Guide()


def tag_run(instance: dg.DagsterInstance, run: dg.DagsterRun, flow_tag: str) -> None:
    """Tag a run that the UI launched as its job's are: Dagster's own job for assets has no tags of ours."""
    if FLOW_TAG not in run.tags:
        instance.add_run_tags(run.run_id, {FLOW_TAG: flow_tag})
