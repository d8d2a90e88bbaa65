"""One of the sandbox's gateways at a host's root, for clients that take no path in a base URL.

The server is a process of its own, because a client's native code may hold the interpreter while it waits.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from subprocess import PIPE, Popen
from urllib.request import Request, urlopen


@contextmanager
def at_the_root(gateway: str) -> Iterator[str]:
    """Serve what is below the URL `gateway` at a port of loopback. Yields the address."""
    with Popen([sys.executable, __file__, gateway], stdout=PIPE, text=True) as server:
        try:
            assert server.stdout is not None, "it is a pipe"
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.terminate()


class _Passing(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
        kind = {name: self.headers[name] for name in ("Content-Type",) if name in self.headers}
        asked = Request(sys.argv[1] + self.path, body, kind, method=self.command)
        with urlopen(asked, timeout=20) as answered:
            text = answered.read()
            self.send_response(answered.status)
            self.send_header("Content-Type", answered.headers["Content-Type"])
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_GET  # noqa: N815 - the server's own name

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the server's own name
        """Nothing: the script's output is its result."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Passing)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
