"""An edge as a record fits manifests."""

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from iomete_mc_assets.manifests.codec import JsonFile
from iomete_mc_assets.records import EdgeKind, Evidence, LineageEdge
from iomete_mc_assets_tests.record_strategies import (
    instants,
    maybe,
    table_ids,
    texts,
    whole_numbers,
)

EDGE = JsonFile(LineageEdge)


@given(
    st.builds(
        LineageEdge,
        source=table_ids(),
        target=table_ids(),
        kind=st.sampled_from(get_args(EdgeKind)),
        source_column=maybe(texts()),
        target_column=maybe(texts()),
        found_in=st.sampled_from(get_args(Evidence)),
        times_seen=whole_numbers,
        last_seen=instants(),
    )
)
def test_an_edge_comes_back_from_json_as_it_was(edge: LineageEdge) -> None:
    assert EDGE.decode(EDGE.encode(edge), where="here") == edge
