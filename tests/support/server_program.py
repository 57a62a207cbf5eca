"""A server for tests of starting and stopping one; run as a program.

Arguments: port, model name, and what it does: ``ready``, ``dies``, ``never``, ``other``, ``deaf``
(ignores SIGTERM), ``family`` (starts a child that outlives it; its pid goes to the log),
``lingers`` (asked for ``/close``, it takes no more connections and runs on).
"""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import time


def main(port: int, model: str, what: str) -> None:
    print(f"starting with {json.dumps(sorted(os.environ))}", flush=True)  # noqa: T201 - its log
    if what == "dies":
        for i in range(60):
            print(f"line {i}", flush=True)  # noqa: T201
        print("key", os.environ["SECRET_KEY"], flush=True)  # noqa: T201
        sys.exit(3)
    if what == "family":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
        print(f"child {child.pid}", flush=True)  # noqa: T201
    if what == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if what == "never":
        time.sleep(300)
    listed = "another" if what == "other" else model

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            key = self.headers.get("authorization")
            status, text = 200, "{}"
            if self.path == "/v1/models":
                text = json.dumps({"data": [{"id": listed, "max_model_len": 512}]})
                status = 200 if key == f"Bearer {os.environ['SECRET_KEY']}" else 401
            self.send_response(status)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())
            if self.path == "/close":
                server.socket.close()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    try:
        server.serve_forever()
    except ValueError:  # its socket was closed
        time.sleep(300)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
