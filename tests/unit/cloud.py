"""DigitalOcean's API on this machine, with state, and with the failures that a test orders."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "dop_v1_" + "5ec7e7" * 10


@dataclass
class Fault:
    """
    What happens to the next request instead of its answer.

    + status: HTTP status, with DigitalOcean's kind of body, or `text`; 0 closes the connection
    + headers: more of the answer
    + done: whether the request is carried out all the same
    + seconds: before anything is said
    + cut: whether the connection ends in the middle of the answer
    """

    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    done: bool = False
    seconds: float = 0
    cut: bool = False
    text: str | None = None


class Cloud(ThreadingHTTPServer):
    """
    Answers as the API does: droplets, pages, SSH keys.

    + polls: how often a new droplet is asked for before it is active
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.droplets: list[dict[str, Any]] = []
        self.keys: list[dict[str, Any]] = []
        self.faults: list[tuple[str, Fault]] = []
        self.requests: list[tuple[str, str]] = []
        self.bodies: list[dict[str, Any]] = []
        self.polls, self.page_size, self.address = 2, 200, "127.0.0.1"
        self.number = 1000

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def fail(self, method: str, *faults: Fault) -> None:
        """Have the next requests of a method fail, one after the other."""
        self.faults += [(method, fault) for fault in faults]

    def count(self, method: str, path: str) -> int:
        """Return how many requests there were of a method to a path."""
        return sum(1 for one, where in self.requests if one == method and urlsplit(where).path == path)

    def add(self, name: str, *tags: str, status: str = "active", **more: Any) -> dict[str, Any]:
        """Have a droplet; return what is told of it."""
        self.number += 1
        last = len(self.droplets) + 1
        made: dict[str, Any] = {
            "id": self.number, "name": name, "memory": 2048, "vcpus": 1, "disk": 50, "locked": False,
            "status": status, "features": [], "tags": list(tags), "size_slug": "s-1vcpu-2gb",
            "image": {"id": 7, "slug": "debian-12-x64", "distribution": "Debian"},
            "region": {"name": "Frankfurt 1", "slug": "fra1"},
            "networks": {
                "v4": [
                    {"ip_address": f"10.19.0.{last}", "netmask": "255.255.0.0", "type": "private"},
                    {"ip_address": f"203.0.113.{last}", "netmask": "255.255.255.0", "type": "public"},
                ],
                "v6": [],
            },
            "vpc_uuid": "11111111-2222-3333-4444-555555555555",
        } | more  # fmt: skip
        self.droplets.append(made)
        return made


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Cloud
    # Headers and body in one packet, or each answer takes the 40 ms of a late acknowledgement.
    wbufsize = -1
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def handle_one_request(self) -> None:
        """Let a client go that has had enough."""
        try:
            super().handle_one_request()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        cloud, method = self.server, self.command
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        cloud.requests.append((method, self.path))
        fault = next((one for one in cloud.faults if one[0] == method), None)
        if fault is not None:
            cloud.faults.remove(fault)
            if fault[1].done:
                self._act(body)
            self._fail(fault[1])
            return
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._say(401, {"id": "Unauthorized", "message": "Unable to authenticate you"})
            return
        self._say(*self._act(body))

    def _fail(self, fault: Fault) -> None:
        time.sleep(fault.seconds)
        if fault.status == 0:
            self.close_connection = True
            return
        said = {"id": "error", "message": f"a message of status {fault.status}"}
        text = json.dumps(said) if fault.text is None else fault.text
        self._send(fault.status, text.encode(), fault.headers, cut=fault.cut)

    def _say(self, status: int, answer: dict[str, Any] | None) -> None:
        self._send(status, b"" if answer is None else json.dumps(answer).encode(), ())

    def _send(self, status: int, raw: bytes, headers: tuple[tuple[str, str], ...], cut: bool = False) -> None:
        self.send_response(status)
        for key, value in (("Content-Type", "application/json"), ("ratelimit-limit", "5000"), *headers):
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw[: len(raw) // 2] if cut else raw)
        if cut:
            self.close_connection = True

    def _act(self, body: bytes) -> tuple[int, dict[str, Any] | None]:
        parts = urlsplit(self.path)
        asked = {key: values[0] for key, values in parse_qs(parts.query).items()}
        words = parts.path.strip("/").split("/")
        acts: dict[tuple[str, str, int], Callable[..., tuple[int, dict[str, Any] | None]]] = {
            ("GET", "droplets", 2): self._list,
            ("POST", "droplets", 2): self._create,
            ("GET", "droplets", 3): self._one,
            ("DELETE", "droplets", 3): self._destroy,
            ("GET", "account", 3): self._list_keys,
            ("POST", "account", 3): self._add_key,
        }
        act = acts.get((self.command, words[1], len(words)))
        if act is None:
            return 404, {"id": "not_found", "message": "no such path"}
        return act(asked, words[-1], body)

    def _paged(
        self, key: str, found: list[dict[str, Any]], asked: dict[str, str]
    ) -> tuple[int, dict[str, Any]]:
        page, size = int(asked.get("page", 1)), min(int(asked.get("per_page", 20)), self.server.page_size)
        part = found[(page - 1) * size : page * size]
        pages = {"next": f"{self.server.url}/v2/x?page={page + 1}"} if page * size < len(found) else {}
        return 200, {key: part, "links": {"pages": pages} if pages else {}, "meta": {"total": len(found)}}

    def _list(self, asked: dict[str, str], *_: object) -> tuple[int, dict[str, Any]]:
        tag, name = asked.get("tag_name"), asked.get("name")
        found = [
            one
            for one in self.server.droplets
            if (tag is None or tag.lower() in [x.lower() for x in one["tags"]])
            and (name is None or name.lower() == one["name"].lower())
        ]
        return self._paged("droplets", found, asked)

    def _create(self, _asked: object, _word: str, body: bytes) -> tuple[int, dict[str, Any]]:
        asked = json.loads(body)
        self.server.bodies.append(asked)
        if asked["size"] == "s-none":
            return 422, {
                "id": "unprocessable_entity",
                "message": "You specified an invalid size for Droplet creation.",
            }
        made = self.server.add(
            asked["name"], *asked["tags"], status="new", size_slug=asked["size"], polls=self.server.polls,
            region={"slug": asked["region"]}, image={"slug": asked["image"]}, networks={"v4": [], "v6": []},
        )  # fmt: skip
        return 202, {"droplet": made, "links": {"actions": []}}

    def _find(self, word: str) -> dict[str, Any] | None:
        return next((one for one in self.server.droplets if str(one["id"]) == word), None)

    def _one(self, _asked: object, word: str, _body: bytes) -> tuple[int, dict[str, Any]]:
        found = self._find(word)
        if found is None:
            return 404, {"id": "not_found", "message": "The resource you requested could not be found."}
        if found["status"] == "new":
            found["polls"] -= 1
            if found["polls"] <= 0:
                found["status"] = "active"
                found["networks"] = {"v4": [{"ip_address": self.server.address, "type": "public"}], "v6": []}
        return 200, {"droplet": found}

    def _destroy(self, _asked: object, word: str, _body: bytes) -> tuple[int, dict[str, Any] | None]:
        found = self._find(word)
        if found is None:
            return 404, {"id": "not_found", "message": "The resource you requested could not be found."}
        self.server.droplets.remove(found)
        return 204, None

    def _list_keys(self, asked: dict[str, str], *_: object) -> tuple[int, dict[str, Any]]:
        return self._paged("ssh_keys", self.server.keys, asked)

    def _add_key(self, _asked: object, _word: str, body: bytes) -> tuple[int, dict[str, Any]]:
        asked = json.loads(body)
        digest = hashlib.md5(base64.b64decode(asked["public_key"].split()[1])).hexdigest()
        made = {**asked, "id": 1, "fingerprint": ":".join(digest[at : at + 2] for at in range(0, 32, 2))}
        if made["fingerprint"] in [one["fingerprint"] for one in self.server.keys]:
            return 422, {"id": "unprocessable_entity", "message": "SSH Key is already in use on your account"}
        self.server.keys.append(made)
        return 201, {"ssh_key": made}


@contextmanager
def running() -> Iterator[Cloud]:
    """Serve until the block ends."""
    cloud = Cloud()
    threading.Thread(target=cloud.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield cloud
    finally:
        cloud.shutdown()
        cloud.server_close()
