"""A chat's incoming webhook on a real socket, which keeps what it was told and answers as scripted."""

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATH = "/services/T000/B000/hunter2-webhook"


@dataclass(slots=True)
class Webhook:
    """A running one.

    Attributes:
        url: the secret address.
        answers: statuses of the next requests; 200 when used up.
        bodies: what was posted to the right path, decoded.
        elsewhere: paths of requests to any other path.
    """

    url: str
    answers: list[int] = field(default_factory=list[int])
    bodies: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    elsewhere: list[str] = field(default_factory=list[str])


@contextmanager
def webhook(*answers: int) -> Generator[Webhook]:
    """One that answers these statuses first; 3xx lead to another path of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == PATH:
                hook.bodies.append(body)
            else:
                hook.elsewhere.append(self.path)
            status = hook.answers.pop(0) if hook.answers else 200
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST  # noqa: N815 - the base class's name

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hook = Webhook(f"http://127.0.0.1:{server.server_port}{PATH}", list(answers))
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield hook
        server.shutdown()
