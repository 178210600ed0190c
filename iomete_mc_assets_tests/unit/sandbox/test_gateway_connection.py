"""Keys and the connection file: what is written, who may read it, what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from iomete_mc_assets.errors import SandboxError
from iomete_mc_assets.sandbox.gateway_connection import (
    CONNECTION_FILE,
    Connection,
    read_connection,
    write_connection,
)


def test_a_connection_is_read_back_and_only_its_owner_may(tmp_path: Path) -> None:
    assert read_connection(tmp_path) is None
    connection = replace(Connection.fresh(), url="http://127.0.0.1:1")
    write_connection(tmp_path, Connection.fresh())
    write_connection(tmp_path, connection)
    assert read_connection(tmp_path) == connection
    assert (tmp_path / CONNECTION_FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [CONNECTION_FILE]


def test_two_fresh_connections_share_nothing() -> None:
    first, second = Connection.fresh(), Connection.fresh()
    assert {first.key_id, first.key_secret, first.api_token, first.resource_uuid}.isdisjoint(
        {second.key_id, second.key_secret, second.api_token, second.resource_uuid}
    )


def test_no_secret_stands_in_a_repr() -> None:
    connection = Connection.fresh()
    shown = repr(connection) + repr(connection.keys)
    assert connection.key_secret not in shown
    assert connection.api_token not in shown


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"url": "x"}'])
def test_a_file_that_is_something_else_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / CONNECTION_FILE).write_text(text)
    with pytest.raises(SandboxError, match=CONNECTION_FILE):
        read_connection(tmp_path)
