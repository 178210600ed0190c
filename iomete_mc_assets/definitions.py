"""The one name Dagster loads."""

from iomete_mc_assets.defs.build import build_definitions

defs = build_definitions()
