"""A fake Acme API. Run it beside a server to try the plugin: `python tests/fake_acme.py`."""

import itertools
import json
import struct
import sys
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "a-key"
PICTURES: dict[str, int] = {}
NUMBERS = itertools.count(1)


class Vendor(BaseHTTPRequestHandler):
    """A picture is finished at the second query."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Start a picture. A prompt with "forbidden" is refused; one with "unlucky" fails."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != f"Bearer {KEY}":
            self.answer(401, {"message": "unknown key"})
        elif "forbidden" in body["text"]:
            self.answer(451, {"message": "we do not draw this"})
        else:
            name = f"{'unlucky' if 'unlucky' in body['text'] else 'p'}-{next(NUMBERS)}"
            PICTURES[name] = 0
            self.answer(202, {"id": name, "state": "queued"})

    def do_GET(self) -> None:
        """Return the state of a picture, or the picture itself."""
        name = self.path.rsplit("/", 1)[-1]
        if name == "drawn.png":
            self.send(200, "image/png", png())
        elif name not in PICTURES:
            self.answer(404, {"message": "no such picture"})
        else:
            PICTURES[name] += 1
            self.answer(200, {"id": name, **self.state(name)})

    def state(self, name: str) -> dict[str, str]:
        """The current state of a picture."""
        if PICTURES[name] < 2:
            return {"state": "drawing"}
        if name.startswith("unlucky"):
            return {"state": "failed"}
        return {"state": "done", "url": f"http://{self.headers['Host']}/drawn.png"}

    def answer(self, status: int, value: object) -> None:
        """Send a JSON answer."""
        self.send(status, "application/json", json.dumps(value).encode())

    def send(self, status: int, media_type: str, body: bytes) -> None:
        """Send an answer with any body."""
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def png() -> bytes:
    """A grey PNG of 64 x 64 pixels."""
    rows = zlib.compress((b"\0" + b"\x80" * 64) * 64)
    head = struct.pack(">2I5B", 64, 64, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(chunk, (b"IHDR", b"IDAT", b"IEND"), (head, rows, b"")))


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), Vendor)
    print(f"ACME_URL=http://127.0.0.1:{server.server_port} ACME_API_KEY={KEY}", flush=True)
    server.serve_forever()
