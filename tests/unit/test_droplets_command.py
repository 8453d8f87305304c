"""`python -m droplets`, whole commands against a server that keeps what it is told."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from droplets import __main__ as command
from droplets import make, remove, ssh_keys, user_data
from droplets.droplet import Droplet
from droplets.errors import DropletsError
from tests.unit.cloud import TOKEN, Cloud, Fault, running

PROJECT = Path(__file__).resolve().parents[2]
PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBqQkS0NfPjqzzjqs0rmCLO5Wa3fGrhEXhkfIRXDXkrL me@here"
CREATE = ["create", "web-1", "--environment", "staging", "--region", "fra1"]


class Run:
    """Runs commands in this process, with no time lost between two looks."""

    def __init__(self, cloud: Cloud, capsys: pytest.CaptureFixture[str], key: Path) -> None:
        self.cloud, self.capsys, self.key = cloud, capsys, key
        self.slept: list[float] = []

    def __call__(self, *words: str, code: int = 0) -> str:
        self.capsys.readouterr()
        got = command.main(words)
        said = self.capsys.readouterr().out
        assert TOKEN not in said
        assert got == code, said
        return said

    def create(self, *words: str, code: int = 0) -> str:
        return self(*CREATE, "--key", str(self.key), "--ssh-port", str(self.port), *words, code=code)

    port = 0


@pytest.fixture
def greeting() -> Iterator[int]:
    """Say what an SSH server says; give its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
                connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, greeting: int
) -> Iterator[Run]:
    key = tmp_path / "id.pub"
    key.write_text(PUBLIC + "\n")
    with running() as cloud:
        made = Run(cloud, capsys, key)
        made.port = greeting
        clock = [0.0]

        def sleep(seconds: float) -> None:
            made.slept.append(seconds)
            clock[0] += seconds

        monkeypatch.setattr(command, "WAITING", make.Waiting(sleep, lambda: clock[0]))
        monkeypatch.setattr(logging, "basicConfig", lambda **_: None)
        monkeypatch.setenv("DIGITALOCEAN_TOKEN", TOKEN)
        monkeypatch.setenv("HOSTWRIGHT_DIGITALOCEAN_URL", cloud.url)
        handler = logging.StreamHandler(_Now())
        command.log.addHandler(handler)
        command.log.setLevel(logging.INFO)
        yield made
        command.log.removeHandler(handler)


class _Now:
    """Standard output as it is when something is written."""

    def write(self, text: str) -> None:
        sys.stdout.write(text)

    def flush(self) -> None:
        sys.stdout.flush()


def test_create_uploads_the_key_waits_and_is_ready(run: Run) -> None:
    said = run.create("--tag", "app", "--vpc", "11111111-2222-3333-4444-555555555555")
    assert "uploaded the SSH key me@here" in said
    assert "it is ready: pyinfra inventories/staging.py deploy.py" in said
    (body,) = run.cloud.bodies
    assert body.pop("user_data").startswith("#cloud-config\n")
    assert body == {
        "name": "web-1", "region": "fra1", "size": "s-1vcpu-2gb", "image": "debian-12-x64",
        "ssh_keys": [run.cloud.keys[0]["fingerprint"]], "tags": ["hostwright-staging", "app"],
        "monitoring": False, "backups": False, "vpc_uuid": "11111111-2222-3333-4444-555555555555",
    }  # fmt: skip
    assert run.slept == [3]  # asked for twice


def test_create_again_changes_nothing(run: Run) -> None:
    run.create()
    # Without image:read it is not told.
    del run.cloud.droplets[0]["image"]
    said = run.create()
    assert "is there already; nothing was changed" in said
    assert run.cloud.count("POST", "/v2/droplets") == 1
    assert run.cloud.count("POST", "/v2/account/keys") == 1


def test_create_of_another_size_is_refused(run: Run) -> None:
    run.create()
    said = run.create("--size", "s-4vcpu-8gb", "--tag", "app", code=1)
    assert "size is s-1vcpu-2gb, not s-4vcpu-8gb; the tag app is missing; nothing was changed" in said
    assert run.cloud.count("POST", "/v2/droplets") == 1


def test_dry_shows_the_request_and_does_nothing(run: Run) -> None:
    said = run.create("--dry", "--login", "ops")
    assert '"name": "web-1"' in said
    assert "would upload the SSH key me@here" in said
    assert {method for method, _ in run.cloud.requests} == {"GET"}


def test_no_wait(run: Run) -> None:
    assert "runs at" not in run.create("--no-wait")
    assert run.cloud.droplets[0]["status"] == "new"
    # The next one goes on waiting.
    assert "it is ready" in run.create()


@pytest.mark.parametrize(
    "fault", [Fault(done=True), Fault(502, done=True), Fault(200, text="{}", done=True), Fault(500)]
)
def test_a_lost_answer_never_makes_a_second_one(run: Run, fault: Fault) -> None:
    run.cloud.keys.append({"name": "mine", "fingerprint": ssh_keys.of_file(run.key).fingerprint, "id": 1})
    run.cloud.fail("POST", fault)
    said = run.create(code=0 if fault.done else 1)
    assert "looking whether it is there" in said
    assert run.cloud.count("POST", "/v2/droplets") == 1
    assert len(run.cloud.droplets) == fault.done
    if not fault.done:
        assert "No droplet web-1 is there so far" in said
        assert "it is ready" in run.create()


def test_a_lost_answer_to_a_key(run: Run) -> None:
    run.cloud.fail("POST", Fault(done=True))
    assert "it is ready" in run.create()
    assert run.cloud.count("POST", "/v2/account/keys") == 1
    assert len(run.cloud.keys) == 1


def test_a_post_that_was_turned_away_is_sent_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.cloud.keys.append({"name": "mine", "fingerprint": ssh_keys.of_file(run.key).fingerprint, "id": 1})
    run.cloud.fail("POST", Fault(429, (("Retry-After", "0"),)))
    assert "it is ready" in run.create()
    assert run.cloud.count("POST", "/v2/droplets") == 2
    assert len(run.cloud.droplets) == 1


def test_what_digitalocean_refuses_is_told(run: Run) -> None:
    assert "(422: You specified an invalid size" in run.create("--size", "s-none", code=1)
    assert run.cloud.count("POST", "/v2/droplets") == 1


def test_a_droplet_of_that_name_elsewhere(run: Run) -> None:
    run.cloud.add("web-1", "hostwright-do")
    assert "without the tag 'hostwright-staging'" in run.create(code=1)
    assert "without the tag" in run("destroy", "web-1", "--environment", "staging", "--yes", code=1)
    run.cloud.add("web-1", "hostwright-staging")
    assert "2 droplets are called web-1 (ids 1001, 1002)" in run.create(code=1)
    assert len(run.cloud.droplets) == 2


def test_waiting_ends(run: Run) -> None:
    run.cloud.polls = 1000
    assert "still 'new' after 300 s; run this again" in run.create(code=1)
    run.cloud.droplets[0]["status"] = "off"
    assert "is 'off'; start it" in run.create(code=1)
    run.cloud.droplets[0] |= {"status": "new", "polls": 0}
    run.cloud.fail("GET", Fault(200, text=json.dumps({"droplets": [{**run.cloud.droplets[0], "id": 9}]})))
    assert "droplet 9 is gone: somebody" in run.create(code=1)
    run.port = 1
    assert "port 1 does not answer with SSH after 180 s" in run.create(code=1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--size", "S 1"], "--size: 'S 1' is no slug"),
        (["--vpc", "mine"], "--vpc: 'mine' is no id"),
        (["--tag", "a b"], "--tag: 'a b' is no tag"),
        (["--tag", "Hostwright-do"], "is the tag of do, not of staging"),
        (["--login", "a:b"], "'a:b' is no user name"),
        (["--key", "nobody"], "is no file here and no key of the account, which has: none"),
    ],
)
def test_words_that_cannot_be(run: Run, words: list[str], message: str) -> None:
    assert message in run.create(*words, code=1)
    assert run.cloud.droplets == []
    assert run.cloud.keys == []


def test_list(run: Run) -> None:
    assert "no droplets; make one" in run("list")
    run.cloud.add("web-1", "hostwright-do")
    run.cloud.add("web-2", "hostwright-staging", status="off")
    run.cloud.add("foreign", "other")
    said = run("list")
    assert "203.0.113.1" in said
    assert "foreign" not in said
    listed = json.loads(run("list", "--json", "--environment", "staging"))
    assert [(one["name"], one["status"]) for one in listed] == [("web-2", "off")]


def test_destroy(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["destroy", "web-1", "--environment", "staging"]
    assert "there is no droplet web-1" in run(*words)
    run.cloud.add("web-1", "hostwright-staging")
    # Nobody is there to answer.
    assert "say --confirm web-1, or --yes; nothing was done" in run(*words, code=1)
    assert "would destroy" in run(*words, "--dry")
    assert len(run.cloud.droplets) == 1
    assert "(id 1001) is destroyed" in run(*words, "--yes")
    assert run.cloud.droplets == []


def test_destroy_whose_answer_was_lost(run: Run) -> None:
    run.cloud.add("web-1", "hostwright-staging")
    run.cloud.fail("DELETE", Fault(done=True))
    assert "is gone already" in run("destroy", "web-1", "--environment", "staging", "--yes")


@pytest.mark.parametrize("environment", ["do", "staging"])
def test_production_is_destroyed_by_its_name_alone(run: Run, environment: str) -> None:
    run.cloud.add("web-1", "hostwright-do", *(["hostwright-staging"] if environment == "staging" else []))
    words = ["destroy", "web-1", "--environment", environment]
    assert "production's" in run(*words, "--yes", code=1)
    assert "--confirm is 'web-2'" in run(*words, "--yes", "--confirm", "web-2", code=1)
    assert len(run.cloud.droplets) == 1
    assert "is destroyed" in run(*words, "--confirm", "web-1")


def test_what_is_typed() -> None:
    one = Droplet(1, "web-1", "active", "fra1", "s", "i", (), "203.0.113.1", None)

    def allowed(answer: str, *, production: bool, yes: bool = False) -> bool:
        try:
            remove.allowed(one, production=production, yes=yes, confirm=None, ask=lambda _: answer)
        except DropletsError:
            return False
        return True

    assert allowed("y", production=False)
    assert not allowed("", production=False)
    assert not allowed("yes", production=True)
    assert not allowed("y", production=True, yes=True)
    assert allowed("web-1", production=True)


def test_keys(tmp_path: Path) -> None:
    for kind in ("ed25519", "rsa"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", tmp_path / kind, "-C", f"{kind} key"], check=True
        )
        key = ssh_keys.of_file(tmp_path / f"{kind}.pub")
        said = subprocess.run(
            ["ssh-keygen", "-l", "-E", "md5", "-f", tmp_path / f"{kind}.pub"],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        assert f"MD5:{key.fingerprint} " in said
        assert key.label == f"{kind} key"
    account = [{"name": "a", "public_key": "x", "fingerprint": key.fingerprint}]
    for word in ("a", key.fingerprint, str(tmp_path / "rsa.pub")):
        (found,) = ssh_keys.chosen([word, "a"], account)
        assert found.known
    with pytest.raises(DropletsError, match="name of several"):
        ssh_keys.chosen(["a"], [*account, {**account[0], "fingerprint": "other"}])
    secret = (tmp_path / "rsa").read_text()
    with pytest.raises(
        DropletsError, match=r"is a private key; write the public one, such as rsa\.pub"
    ) as caught:
        ssh_keys.of_file(tmp_path / "rsa")
    assert secret.splitlines()[1] not in str(caught.value)
    for text in ("", "ssh-ed25519 !", "ssh-rsa " + PUBLIC.split()[1], PUBLIC + "\n" + PUBLIC):
        (tmp_path / "x.pub").write_text(text)
        with pytest.raises(DropletsError, match="no public key"):
            ssh_keys.of_file(tmp_path / "x.pub")


def test_user_data_of_a_login() -> None:
    import yaml

    (user,) = yaml.safe_load(user_data.rendered("ops", ['ssh-ed25519 AAAA a: "b" <#c>']))["users"]
    assert user["name"] == "ops"
    assert user["ssh_authorized_keys"] == ['ssh-ed25519 AAAA a: "b" <#c>']
    assert "users" not in yaml.safe_load(user_data.rendered("root", []))


def test_as_a_program() -> None:
    with running() as cloud:
        cloud.add("web-1", "hostwright-staging")
        env = {**os.environ, "DIGITALOCEAN_TOKEN": TOKEN, "HOSTWRIGHT_DIGITALOCEAN_URL": cloud.url}
        words = [sys.executable, "-m", "droplets", "destroy", "web-1", "--environment", "staging"]
        done = subprocess.run(
            words, cwd=PROJECT, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert done.stdout.count("\n") == 1
        assert "--confirm web-1, or --yes" in done.stdout
        assert done.stderr == ""
