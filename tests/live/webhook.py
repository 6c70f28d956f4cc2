"""A webhook on this machine: what an alert's channel delivers, kept for the test to look at."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "s3cr3t-t0ken"  # noqa: S105 - what must not be seen


class Webhook:
    """An HTTP server that keeps what it is sent, and answers as the test says."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.answer = 200
        self.arrived = threading.Condition()
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with webhook.arrived:
                    webhook.paths.append(self.path)
                    if webhook.answer == 200:
                        webhook.heard.append(body)
                    webhook.arrived.notify_all()
                self.send_response(webhook.answer)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://127.0.0.1:{self._server.server_port}/{SECRET}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def wait(self, done: Callable[[], bool], timeout_s: float = 10.0) -> None:
        with self.arrived:
            assert self.arrived.wait_for(done, timeout_s), f"{self.paths} {self.heard}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
