import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iomete_mc_assets.errors import SettingsError
from iomete_mc_assets.warehouse.address import Address, Proxy, parse, proxy_for


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "https://lake.example/data-plane/p/lakehouse/c",
            "https://lake.example:443/data-plane/p/lakehouse/c",
        ),
        (
            "https://lake.example:8443/lakehouse/c/",
            "https://lake.example:8443/lakehouse/c",
        ),
        (
            "http://lake.example/data-plane/p/lakehouse/c",
            "http://lake.example:80/data-plane/p/lakehouse/c",
        ),
        ("http://Driver.example/cliservice/", "http://driver.example:10000/cliservice"),
        ("http://127.0.0.1:11999/cliservice", "http://127.0.0.1:11999/cliservice"),
        ("thrift://Driver.example", "thrift://driver.example:10000"),
        ("thrift://127.0.0.1:11999/", "thrift://127.0.0.1:11999"),
        ("https://[::1]/cliservice", "https://[::1]:443/cliservice"),
        (" HTTPS://lake.example/a%20b ", "https://lake.example:443/a%20b"),
    ],
)
def test_all_documented_forms_and_any_other_path_are_taken(url: str, expected: str) -> None:
    assert parse(url).url == expected


def test_what_is_shown_is_host_port_and_path() -> None:
    assert parse("https://lake.example/lakehouse/c/").shown == "lake.example:443/lakehouse/c"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://ann:hunter2@lake.example/cliservice", "IOMETE_USER and IOMETE_TOKEN"),
        ("https://hunter2@lake.example/cliservice", "IOMETE_USER and IOMETE_TOKEN"),
        ("ann:hunter2@lake.example/cliservice", "none of https://, http:// and thrift://"),
        ("https://lake.example/cliservice?token=hunter2", "query or fragment"),
        ("https://lake.example/cliservice#hunter2", "query or fragment"),
        ("thrift://lake.example:10000/hunter2", "no use for the path"),
        ("jdbc:hive2://hunter2:10000/", "none of https://, http:// and thrift://"),
        ("hunter2", "none of https://, http:// and thrift://"),
        ("https://lake.example", "names no path"),
        ("https://lake.example/", "names no path"),
        ("https:///cliservice", "names no host"),
        ("https://lake.example:0/cliservice", "port 0"),
        ("https://lake.example:hunter2/cliservice", "cannot be read"),
        ("https://lake.example:99999/cliservice", "cannot be read"),
        ("https://[hunter2/cliservice", "cannot be read"),
        ("https://lake.example/data-plane/n/lakehouse/", "no namespace or no compute"),
        ("https://lake.example/data-plane//lakehouse/c", "no namespace or no compute"),
        ("https://lake.example/data-plane", "no namespace or no compute"),
        ("https://lake.example/cli service", "white space"),
        ("https://lake.example/cli\r\nservice", "white space"),
        ("https://lake.example/straße", "percent-encoded"),
    ],
)
def test_a_bad_address_is_refused_with_the_reason_and_without_the_text(url: str, why: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(url)
    message = str(caught.value)
    assert message.startswith("IOMETE_URL cannot be used: ")
    assert why in message
    assert "It takes https://host/data-plane/" in message
    assert "hunter2" not in message
    assert caught.value.__cause__ is None


@given(
    st.sampled_from(["http", "https"]),
    st.from_regex(r"[a-z][a-z0-9]{0,8}(\.[a-z]{2,5})?", fullmatch=True),
    st.integers(1, 65535),
    st.from_regex(r"(/[A-Za-z0-9._~-]{1,8}){1,4}", fullmatch=True),
)
def test_an_address_reads_back_as_itself(scheme: str, host: str, port: int, path: str) -> None:
    address = parse(f"{scheme}://{host}:{port}{path}")
    assert parse(address.url) == address
    assert address.shown == f"{host}:{port}{path}"


@given(st.text())
def test_any_text_is_an_address_or_a_settings_error(text: str) -> None:
    with contextlib.suppress(SettingsError):
        assert parse(text).path.startswith("/")


LAKE = Address(scheme="http", host="lake.example", port=80, path="/cliservice")


def test_a_proxy_is_taken_from_the_variable_of_the_scheme() -> None:
    proxies = {"http": "http://ann:hunter%402@proxy.example:3128", "https": "http://other:1"}
    proxy = proxy_for(LAKE, proxies, bypassed=False)
    assert proxy == Proxy(host="proxy.example", port=3128, credentials="ann:hunter@2")
    assert "hunter" not in repr(proxy)


def test_no_proxy_is_used_for_this_machine_or_a_bypassed_host_or_without_a_variable() -> None:
    proxies = {"http": "http://proxy.example:3128"}
    for host in ("127.0.0.1", "localhost", "::1"):
        here = Address(scheme="http", host=host, port=80, path="/cliservice")
        assert proxy_for(here, proxies, bypassed=False) is None
    assert proxy_for(LAKE, proxies, bypassed=True) is None
    assert proxy_for(LAKE, {}, bypassed=False) is None


def test_a_proxy_variable_that_is_no_http_proxy_is_refused_without_its_password() -> None:
    with pytest.raises(SettingsError, match="HTTP_PROXY cannot be used") as caught:
        proxy_for(LAKE, {"http": "socks5://ann:hunter2@proxy.example:1080"}, bypassed=False)
    assert "hunter2" not in str(caught.value)
