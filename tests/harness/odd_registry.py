"""odd_registry.py ADDRESS:PORT FAULT IMAGE.tar: a registry that has one image, whatever it is asked
for, and hands it out in an odd way. Says "ready" and then each path that it is asked for."""
import http.server
import json
import socket
import sys
import tarfile
import threading

FAULTS = ("none", "silent", "stalled", "hesitant", "refused", "denied", "absent", "garbage", "broken")
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Image:
    """The blobs of an OCI image layout, by digest."""

    def __init__(self, path):
        with tarfile.open(path) as tar:
            self.blobs = {f"sha256:{entry.name.rsplit('/', 1)[1]}": tar.extractfile(entry).read()
                          for entry in tar if entry.isfile() and entry.name.startswith("blobs/")}
            self.manifest = json.load(tar.extractfile("index.json"))["manifests"][0]["digest"]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_one_request(self):
        # dockerd tries TLS first; at a plain answer it does without.
        if self.connection.recv(1, socket.MSG_PEEK) == b"\x16":
            self.wfile.write(b"HTTP/1.1 400 no TLS\r\n\r\n")
            self.close_connection = True
        else:
            super().handle_one_request()

    def do_GET(self):
        print(self.path, flush=True)
        words = self.path.split("/")
        kind = words[-2] if len(words) > 3 else "version"
        if act := ACTS.get((self.server.fault, kind)):
            act(self)
        elif kind == "version":
            self.answer(200, b"{}")
        else:
            self.serve(kind, words[-1])

    do_HEAD = do_GET

    def serve(self, kind, name):
        image = self.server.image
        digest = name if kind == "blobs" or name in image.blobs else image.manifest
        self.answer(200, image.blobs[digest],
                    MANIFEST if kind == "manifests" else "application/octet-stream", digest)

    def answer(self, status, body, type="application/json", digest=None, **headers):
        self.send_response(status)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        if digest:
            self.send_header("Docker-Content-Digest", digest)
        for name, value in {"Content-Type": type, "Content-Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def be_silent(self):
        self.wfile.flush()
        threading.Event().wait()

    def stall(self):
        """Half of a big blob, and then nothing."""
        blob = self.server.image.blobs[self.path.rsplit("/", 1)[1]]
        if len(blob) < 65536:
            self.serve("blobs", self.path.rsplit("/", 1)[1])
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(blob)))
        self.end_headers()
        self.wfile.write(blob[:len(blob) // 2])
        self.be_silent()

    def hesitate(self):
        """Stalls once; who asks again gets it."""
        blob = self.server.image.blobs[self.path.rsplit("/", 1)[1]]
        if len(blob) >= 65536 and not self.server.hesitated:
            self.server.hesitated = True
            print("hesitates", flush=True)
            self.stall()
        else:
            self.serve("blobs", self.path.rsplit("/", 1)[1])

    def refuse(self):
        self.answer(401, error("UNAUTHORIZED", "authentication required"),
                    WWW_Authenticate='Basic realm="corpus"')

    def deny(self):
        self.answer(403, error("DENIED", "requested access to the resource is denied"))

    def be_absent(self):
        self.answer(404, error("MANIFEST_UNKNOWN", "manifest unknown"))

    def break_down(self):
        self.answer(500, b"<html>out of order</html>", "text/html")

    def log_message(self, *_):
        """Nobody reads it."""


def error(code, message):
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()


ACTS = {
    ("silent", "manifests"): Handler.be_silent,
    ("stalled", "blobs"): Handler.stall,
    ("hesitant", "blobs"): Handler.hesitate,
    ("refused", "version"): Handler.refuse,
    ("refused", "manifests"): Handler.refuse,
    ("denied", "manifests"): Handler.deny,
    ("absent", "manifests"): Handler.be_absent,
    ("garbage", "manifests"): lambda handler: handler.answer(200, b"\0\xffnot a manifest", MANIFEST),
    ("broken", "manifests"): Handler.break_down,
}


def main(where, fault, image):
    assert fault in FAULTS
    address, port = where.split(":")
    server = http.server.ThreadingHTTPServer((address, int(port)), Handler)
    server.daemon_threads = True
    server.fault, server.image, server.hesitated = fault, Image(image), False
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
