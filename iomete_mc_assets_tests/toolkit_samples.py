"""The importer's key and warehouses, a source for each kind of file that other collectors drop."""

from iomete_mc_assets.sandbox import other_collectors
from iomete_mc_assets.sandbox.gateway_connection import Key

WAREHOUSES = {
    kind: f"00000000-0000-4000-8000-{number:012d}"
    for number, kind in enumerate(other_collectors.KINDS)
}
KEY = Key(
    id="importer",
    secret="fake-secret-of-the-importer",
    scope="Ingestion",
    warehouse_uuids=tuple(WAREHOUSES.values()),
)
"""May push to the warehouses of all six, and to no other."""
SOURCES = ",".join(f"{kind}={uuid}" for kind, uuid in WAREHOUSES.items())
"""As IOMETE_MC_IMPORT_SOURCES takes them."""
