"""An edge as a record fits manifests."""

from hypothesis import given

from iomete_mc_assets.manifests.codec import JsonFile
from iomete_mc_assets.records import LineageEdge
from iomete_mc_assets_tests.record_strategies import lineage_edges

EDGE = JsonFile(LineageEdge)


@given(lineage_edges())
def test_an_edge_comes_back_from_json_as_it_was(edge: LineageEdge) -> None:
    assert EDGE.decode(EDGE.encode(edge), where="here") == edge
