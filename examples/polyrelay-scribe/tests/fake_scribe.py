"""A server that answers like Scribe, to try the plugin: `python tests/fake_scribe.py`."""

import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "a-key"
WORDS = ("Once", " upon", " a", " time.")
TEXTS: dict[str, str] = {}
NUMBERS = itertools.count(1)


class Vendor(BaseHTTPRequestHandler):
    """A text is ready at the first poll; one whose prompt has the word "epic" never is."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Start a text, or send it as a stream."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != f"Bearer {KEY}":
            self.answer(401, {"message": "unknown key"})
        elif self.path.endswith("/stream"):
            self.events([*({"text": word} for word in WORDS), {"end": "stop", "words": len(WORDS)}])
        else:
            name = f"t-{next(NUMBERS)}"
            TEXTS[name] = "writing an epic" if "epic" in asked["prompt"] else "writing"
            self.answer(202, {"id": name, "state": "writing"})

    def do_GET(self) -> None:
        """Send the state of a text."""
        name = self.path.rsplit("/", 1)[-1]
        if TEXTS.get(name) == "writing":
            TEXTS[name] = "written"
        match TEXTS.get(name):
            case None:
                self.answer(404, {"message": "no such text"})
            case "written":
                self.answer(200, {"id": name, "state": "written", "text": "".join(WORDS), "words": len(WORDS)})
            case "stopped":
                self.answer(200, {"id": name, "state": "stopped"})
            case _:
                self.answer(200, {"id": name, "state": "writing"})

    def do_DELETE(self) -> None:
        """Stop a text that is not ready."""
        name = self.path.rsplit("/", 1)[-1]
        if name not in TEXTS:
            self.answer(404, {"message": "no such text"})
        elif TEXTS[name] == "written":
            self.answer(410, {"message": "too late"})
        else:
            TEXTS[name] = "stopped"
            self.answer(200, {"id": name, "state": "stopped"})

    def events(self, values: Sequence[Mapping[str, object]]) -> None:
        """Send server-sent events."""
        events = "".join(f"data: {json.dumps(value)}\n\n" for value in values)
        self.send(200, "text/event-stream", f"{events}data: [DONE]\n\n".encode())

    def answer(self, status: int, value: object) -> None:
        """Send JSON."""
        self.send(status, "application/json", json.dumps(value).encode())

    def send(self, status: int, media_type: str, body: bytes) -> None:
        """Send an answer."""
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), Vendor)
    print(f"SCRIBE_URL=http://127.0.0.1:{server.server_port} SCRIBE_API_KEY={KEY}", flush=True)
    server.serve_forever()
