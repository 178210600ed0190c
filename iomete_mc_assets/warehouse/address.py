"""Where the lakehouse answers: ``IOMETE_URL`` read into its parts. Opens nothing and never repeats the text it was given."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Literal
from urllib.parse import SplitResult, unquote, urlsplit

from iomete_mc_assets.errors import SettingsError
from iomete_mc_assets.settings import IOMETE_URL

Scheme = Literal["http", "https", "thrift"]
SCHEMES: Mapping[str, Scheme] = {"https": "https", "http": "http", "thrift": "thrift"}

HTTPS_PORT = 443
HTTP_PORT = 80
THRIFT_PORT = 10_000
"""HiveServer2's own port, for the form that goes straight to the driver and names no port."""
DRIVER_PATH = "/cliservice"
"""The path of that form: ``hive.server2.thrift.http.path``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One Thrift server.

    Attributes:
        scheme: ``http`` or ``https``, or ``thrift`` for binary mode.
        host: name or address, in lower case, IPv6 without brackets.
        port: 1 to 65535.
        path: begins with a slash, has none at its end; empty in binary mode.
    """

    scheme: Scheme
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """Host and port, as a Host header or a proxy wants them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def shown(self) -> str:
        """Host, port and path for people and for a manifest's source; holds no credentials."""
        return f"{self.authority}{self.path}"

    @property
    def url(self) -> str:
        """The whole address, with its port always written."""
        return f"{self.scheme}://{self.shown}"

    @property
    def loopback(self) -> bool:
        """Whether this machine is meant: such an address is never asked through a proxy."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """The HTTP proxy between us and the lakehouse; ``credentials`` is ``user:password`` or None."""

    host: str
    port: int
    credentials: str | None = field(default=None, repr=False)

    @property
    def shown(self) -> str:
        """Host and port for people."""
        return f"{self.host}:{self.port}"


def parse(url: str) -> Address:
    """The parts of an ``IOMETE_URL``.

    Both documented forms are taken, and any path but the first one's beginning: ``https://host/data-plane/<namespace>/lakehouse/<compute>``
    (port 443, or 80 for http) and ``http://host/cliservice`` (port 10000); and ``thrift://host`` (port 10000).

    Raises:
        SettingsError: it is none of these. The message never holds the text, which may hold a token.
    """
    text = url.strip()
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise _refused(_UNREADABLE) from None
    problem = _problem(text, parts)
    if problem is not None:
        raise _refused(problem)
    scheme = SCHEMES[parts.scheme]
    path = parts.path.rstrip("/")
    if port is None:
        port = _default_port(scheme, path)
    return Address(scheme=scheme, host=parts.hostname or "", port=port, path=path)


_UNREADABLE = "its host or port cannot be read"


def _problem(text: str, parts: SplitResult) -> str | None:
    """Why it is no address, as the second half of a sentence; None when it is one."""
    binary, path = parts.scheme == "thrift", parts.path.strip("/")
    checks = (
        (re.search(r"[\s\x00-\x1f\x7f]", text), "it holds white space or control characters"),
        (parts.scheme not in SCHEMES, "it begins with none of https://, http:// and thrift://"),
        ("@" in parts.netloc, "a user or password in it belongs into IOMETE_USER and IOMETE_TOKEN"),
        ("?" in text or "#" in text, "Thrift has no use for the query or fragment in it"),
        (not parts.hostname or parts.port == 0, "it names no host, or port 0"),
        (not parts.path.isascii(), "its path holds characters that must be percent-encoded"),
        (binary and bool(path), "binary mode (thrift://) has no use for the path in it"),
        (not binary and not path, "it names no path, so no compute can be told"),
        (not binary and _cut_short(path), "its path names no namespace or no compute"),
    )
    return next((problem for applies, problem in checks if applies), None)


def _cut_short(path: str) -> bool:
    """Whether it is the beginning of IOMETE's own path, as an empty variable in it leaves it."""
    parts = path.split("/")
    return parts[0] == "data-plane" and not all([*parts, "", "", ""][:4])


def _default_port(scheme: Scheme, path: str) -> int:
    if scheme == "https":
        return HTTPS_PORT
    return THRIFT_PORT if scheme == "thrift" or path == DRIVER_PATH else HTTP_PORT


def _refused(why: str) -> SettingsError:
    return SettingsError(f"{IOMETE_URL.name} cannot be used: {why}. It takes {IOMETE_URL.takes}.")


def proxy_for(address: Address, proxies: Mapping[str, str], *, bypassed: bool) -> Proxy | None:
    """The proxy to ask through.

    Args:
        address: of the lakehouse.
        proxies: by scheme, as ``urllib.request.getproxies`` reads HTTP_PROXY and HTTPS_PROXY.
        bypassed: whether NO_PROXY names the host.

    Returns:
        None when the host is this machine, is bypassed, or no proxy is set for its scheme.

    Raises:
        SettingsError: the variable holds something else than ``http://[user:password@]host:port``.
    """
    text = proxies.get(address.scheme, "")
    if address.loopback or bypassed or not text:
        return None
    parts = urlsplit(text if "://" in text else f"http://{text}")
    try:
        host, port = parts.hostname, parts.port or HTTP_PORT
    except ValueError:
        host, port = None, 0
    if parts.scheme != "http" or host is None:
        msg = (
            f"{address.scheme.upper()}_PROXY cannot be used for the lakehouse {address.shown}: it takes "
            "http://host:port. Correct it, or name the host in NO_PROXY."
        )
        raise SettingsError(msg)
    credentials = None
    if parts.username is not None:
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return Proxy(host=host, port=port, credentials=credentials)
