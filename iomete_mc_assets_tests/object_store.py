"""An S3 server of the tests' own: moto's, over a real socket. What lies in it is gone with the process."""

import itertools
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Self

import requests
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

BUCKET = "lake-manifests"
DENIED = b"<Error><Code>AccessDenied</Code><Message>no right</Message></Error>"


class ObjectStore:
    """One bucket on this machine, while it is entered.

    Attributes:
        url: of the server.
        asked: method and query of each request, oldest first.
        read: the path of each that reads an object or its head, likewise.
        losing: methods whose next answer is 500 although the request was obeyed.
        denying: whether every request is refused as one without the right.
        read_only: whether everything but reading is.
        unconditional: whether ``If-None-Match`` is overlooked, as by a server that does not know it.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.read: list[str] = []
        self.losing: list[str] = []
        self.denying = False
        self.read_only = False
        self.unconditional = False
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()
        self._server = make_server(
            "127.0.0.1", 0, self._answer, threaded=True, request_handler=_QuietHandler
        )
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._prefixes = itertools.count(1)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        requests.put(f"{self.url}/{BUCKET}", timeout=10).raise_for_status()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def environment(self) -> Mapping[str, str]:
        """What an operator sets to reach it, and nothing of the machine's own."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": "tests",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": "nowhere",
            "AWS_SHARED_CREDENTIALS_FILE": "nowhere",
        }

    def fresh_root(self) -> str:
        """An address below which nothing lies yet."""
        return f"s3://{BUCKET}/{next(self._prefixes)}"

    def _answer(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        # moto looks first and writes then; S3 itself decides a conditional write in one step
        with self._lock:
            method = environ["REQUEST_METHOD"]
            self.asked.append((method, environ["QUERY_STRING"]))
            if method in ("GET", "HEAD"):
                self.read.append(environ["PATH_INFO"])
            if self.unconditional:
                environ.pop("HTTP_IF_NONE_MATCH", None)
            if self.denying or (self.read_only and method not in ("GET", "HEAD")):
                start_response("403 Forbidden", [("Content-Type", "application/xml")])
                # an answer to HEAD has no body; clients take one for a broken connection
                return [] if method == "HEAD" else [DENIED]
            if method in self.losing:
                self.losing.remove(method)
                list(self._moto(environ, _unheard))
                start_response("500 Internal Server Error", [("Content-Type", "application/xml")])
                return [b"<Error><Code>InternalError</Code><Message>lost</Message></Error>"]
            return list(self._moto(environ, start_response))


def _unheard(*_: object) -> Callable[[bytes], object]:
    """A ``start_response`` whose answer is lost on the way."""
    return lambda _: None


class _QuietHandler(MotoRequestHandler):
    """Without a line on the terminal for each request."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass
