"""Counting edges."""

from datetime import UTC, datetime, timedelta

from iomete_mc_assets.collectors.lineage.edges import EdgeCounts, Spelling
from iomete_mc_assets.collectors.lineage.model import Edges

AT = datetime(2026, 11, 21, 5, 10, tzinfo=UTC)


def test_the_latest_instant_and_the_surest_evidence_stay() -> None:
    """In whatever order they come."""
    edges = Edges(frozenset({(("c", "a", "one"), ("c", "a", "two"))}))
    counts = EdgeCounts()
    counts.add(edges, found_in="sql", times=2, last=AT + timedelta(minutes=9))
    counts.add(edges, found_in="plan", times=1, last=AT)
    counts.add(edges, found_in="view text", times=1, last=AT + timedelta(minutes=1))
    (edge,) = counts.records(Spelling(()))
    assert (edge.found_in, edge.times_seen) == ("plan", 4)
    assert edge.last_seen == AT + timedelta(minutes=9)
