"""A model's server for tests, run as a program: it speaks as much of OpenAI's API as a chat needs.

``model_server.py PORT [WORD ...]`` with the words

* ``slow``: it is not ready for a third of a second; ``never``: it is never ready
* ``fail``: it writes two lines and ends with exit code 5, at once
* ``mortal``: a chat request ends it with exit code 7
* ``silent``: it answers a chat without a word; ``broken``: it breaks off after the first
* ``stubborn``: it ignores SIGTERM
* ``environment``: it answers a chat with what the variable GREETING holds

With ``--listen HOST:PORT`` among the words it stands in for the gateway, which takes longer to start.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WORDS = set(sys.argv[2:])
BEGIN = time.monotonic()
SLOW = 0.3


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        ready = "never" not in WORDS and ("slow" not in WORDS or time.monotonic() - BEGIN > SLOW)
        self.send_response(200 if ready and self.path in {"/health", "/ready"} else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "mortal" in WORDS:
            print("out of memory", flush=True)
            os._exit(7)
        answer = ["You", " said: ", body["messages"][0]["content"]]
        if "environment" in WORDS:
            answer = [os.environ.get("GREETING", "")]
        if "silent" in WORDS:
            answer = []
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for text in answer:
            self._event({"choices": [{"index": 0, "delta": {"content": text}}]})
            if "broken" in WORDS:
                self._event({"error": {"message": "the GPU has gone", "type": "server_error"}})
                self._chunk(b"")
                return
        self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _event(self, value: object) -> None:
        self._chunk(b"data: " + json.dumps(value).encode() + b"\n\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))


def main() -> None:
    if "fail" in WORDS:
        print("reading the weights\nno such file: weights.gguf", flush=True)
        sys.exit(5)
    if "stubborn" in WORDS:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    words = sys.argv[1:]
    port = words[words.index("--listen") + 1].rpartition(":")[2] if "--listen" in words else words[0]
    ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main()
