"""Hosts from DigitalOcean, through its own client and pyinfra as a program, against a real server."""

from __future__ import annotations

import email.utils
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyinfra.api.exceptions import PyinfraError

import declared
import host_lists
from droplets.api import Api, Patience
from droplets.errors import DropletsError, RefusedError
from tests.lab import warm
from tests.unit.cloud import TOKEN, Cloud, Fault, running

PROJECT = Path(__file__).resolve().parents[2]
STAGING = "hostwright-staging"


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with running() as made:
        yield made


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def api(cloud: Cloud, pauses: list[float]) -> Api:
    return Api(TOKEN, url=cloud.url, patience=Patience(connect=1, read=0.3), sleep=pauses.append)


@pytest.fixture
def place(tmp_path: Path) -> str:
    """Return the inventory of a project with two groups."""
    (tmp_path / "inventories").mkdir()
    (tmp_path / "group_data").mkdir()
    for name in ("do", "staging", "lab"):
        (tmp_path / "inventories" / f"{name}.py").touch()
    for name in ("all", "do", "staging", "app", "db"):
        (tmp_path / "group_data" / f"{name}.py").touch()
    return str(tmp_path / "inventories" / "staging.py")


def environ(cloud: Cloud, **more: str) -> dict[str, str]:
    return {"DIGITALOCEAN_TOKEN": TOKEN, "HOSTWRIGHT_DIGITALOCEAN_URL": cloud.url, **more}


def refused(place: str, given: dict[str, str]) -> str:
    with pytest.raises(PyinfraError) as caught:
        host_lists.listed(place, given)
    assert TOKEN not in str(caught.value)
    return str(caught.value)


def test_droplets_are_hosts_and_tags_with_a_file_are_groups(cloud: Cloud, place: str) -> None:
    cloud.add("web-1", STAGING, "app", "billing:shop")
    cloud.add("db-1", "db", "Hostwright-Staging", "all", "App")
    cloud.add("other-1", "hostwright-do")
    given = environ(cloud)
    hosts = dict(host_lists.listed(place, given))
    assert list(hosts) == ["db-1", "web-1"]
    assert hosts["web-1"] == {
        "ssh_hostname": "203.0.113.1", "ssh_user": "root", "ssh_port": 22, "private_address": "10.19.0.1",
        "droplet": {
            "id": 1001, "region": "fra1", "size": "s-1vcpu-2gb", "image": "debian-12-x64",
            "tags": [STAGING, "app", "billing:shop"],
        },
    }  # fmt: skip
    assert host_lists.groups(place, given) == {"app": ["db-1", "web-1"], "db": ["db-1"]}
    # Hosts and groups are one question.
    assert cloud.count("GET", "/v2/droplets") == 1


def test_all_pages_are_read(cloud: Cloud, place: str) -> None:
    cloud.page_size = 2
    for number in range(5):
        cloud.add(f"web-{number}", STAGING)
    assert [name for name, _ in host_lists.listed(place, environ(cloud))] == [f"web-{n}" for n in range(5)]
    assert [where.split("page=")[-1].split("&")[0] for _, where in cloud.requests] == ["1", "2", "3"]
    assert all("tag_name=hostwright-staging" in where for _, where in cloud.requests)


def test_variables_of_the_environment(cloud: Cloud, place: str) -> None:
    cloud.add("web-1", "mine")
    given = environ(
        cloud, HOSTWRIGHT_STAGING_TAG="mine", HOSTWRIGHT_STAGING_ADDRESS="private",
        HOSTWRIGHT_STAGING_USER="ops", HOSTWRIGHT_STAGING_PORT="2222", HOSTWRIGHT_STAGING_KEY="/keys/ops",
    )  # fmt: skip
    ((_, data),) = host_lists.listed(place, given)
    del data["droplet"]
    assert data == {
        "ssh_hostname": "10.19.0.1", "ssh_user": "ops", "ssh_port": 2222, "ssh_key": "/keys/ops",
        "_sudo": True, "private_address": "10.19.0.1",
    }  # fmt: skip
    assert "is 'publik'; write 'public' or" in refused(
        place, environ(cloud, HOSTWRIGHT_STAGING_ADDRESS="publik")
    )
    assert "HOSTWRIGHT_STAGING_PORT is 'ssh'" in refused(place, given | {"HOSTWRIGHT_STAGING_PORT": "ssh"})
    assert "'a b' is no tag" in refused(place, environ(cloud, HOSTWRIGHT_STAGING_TAG="a b"))


def test_an_environment_never_takes_the_hosts_of_another(cloud: Cloud, place: str) -> None:
    given = environ(cloud, HOSTWRIGHT_STAGING_TAG="hostwright-do")
    assert "that of staging and of do" in refused(place, given)
    cloud.add("web-1", STAGING, "Hostwright-DO")
    message = refused(place, environ(cloud))
    assert "web-1 has the tags of two environments" in message
    assert "'Hostwright-DO' of do" in message


def test_the_order_is_api_file_variable(cloud: Cloud, place: str, capsys: pytest.CaptureFixture[str]) -> None:
    cloud.add("of-api", STAGING)
    given = environ(cloud, HOSTWRIGHT_STAGING_HOSTS="of-variable")
    file = Path(place).with_suffix(".yaml")
    file.write_text("- name: of-file\n")
    assert [name for name, _ in host_lists.listed(place, given)] == ["of-api"]
    del given["DIGITALOCEAN_TOKEN"]
    assert [name for name, _ in host_lists.listed(place, given)] == ["of-file"]
    assert "HOSTWRIGHT_STAGING_HOSTS is for where there is none" in capsys.readouterr().err
    file.unlink()
    assert [name for name, _ in host_lists.listed(place, given)] == ["of-variable"]
    assert host_lists.listed(place, {}) == []


def test_no_droplet_with_the_tag_is_an_error(cloud: Cloud, place: str) -> None:
    # And no reason to go on with a file, whose addresses may be other people's by now.
    Path(place).with_suffix(".yaml").write_text("- name: of-file\n")
    message = refused(place, environ(cloud))
    assert "no droplet has the tag 'hostwright-staging'" in message
    assert "unset DIGITALOCEAN_TOKEN to use inventories/staging.yaml" in message


def test_droplets_that_do_not_run_are_left_out(
    cloud: Cloud, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.add("new-1", STAGING, status="new", networks={"v4": [], "v6": []})
    cloud.add("off-1", STAGING, status="off")
    assert "new-1 is 'new'" in refused(place, environ(cloud))
    cloud.add("web-1", STAGING)
    capsys.readouterr()
    assert [name for name, _ in host_lists.listed(place, environ(cloud, X="2"))] == ["web-1"]
    said = capsys.readouterr().err
    assert "droplet new-1 is 'new' and left out" in said
    assert "droplet off-1 is 'off' and left out" in said


def test_droplets_that_cannot_be_hosts(cloud: Cloud, place: str) -> None:
    cloud.add("web-1", STAGING, networks={"v4": [{"type": "private", "ip_address": "10.0.0.1"}]})
    assert "no public address; set HOSTWRIGHT_STAGING_ADDRESS=private" in refused(place, environ(cloud))
    cloud.droplets[0]["networks"]["v6"] = [{"type": "public", "ip_address": "2001:db8::1"}]
    assert host_lists.listed(place, environ(cloud))[0][1]["ssh_hostname"] == "2001:db8::1"


def test_two_of_one_name(cloud: Cloud, place: str) -> None:
    cloud.add("web-1", STAGING)
    cloud.add("WEB-1", STAGING)
    assert "(ids 1001 and 1002); rename one" in refused(place, environ(cloud))


def test_tags_that_are_not_told_are_no_missing_groups(cloud: Cloud, api: Api, place: str) -> None:
    text = json.dumps({"droplets": [{**cloud.add("web-1", STAGING), "tags": []}], "links": {}})
    cloud.fail("GET", Fault(200, text=text))
    assert "does not tell the tags of droplet web-1; give the token" in refused(place, environ(cloud))


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "@local"},
        {"name": "-oProxyCommand=x"},
        {"networks": {"v4": [{"type": "public", "ip_address": "-oProxyCommand=x"}]}},
        {"networks": {"v4": [{}]}},
        {"id": None},
    ],
)
def test_answers_that_are_no_droplets(cloud: Cloud, place: str, wrong: dict[str, object]) -> None:
    cloud.add("web-1", STAGING)
    cloud.droplets[0] |= wrong
    assert "cannot be read" in refused(place, environ(cloud))


def test_a_token_that_is_refused(cloud: Cloud, place: str) -> None:
    message = refused(place, environ(cloud) | {"DIGITALOCEAN_TOKEN": "dop_v1_other"})
    assert "refuses the token of DIGITALOCEAN_TOKEN (401: Unable to authenticate you)" in message
    assert "account/api/tokens" in message
    assert "dop_v1_other" not in message


def test_a_token_that_is_none_is_never_shown(cloud: Cloud, place: str) -> None:
    message = refused(place, environ(cloud) | {"DIGITALOCEAN_TOKEN": f"{TOKEN}\nX: y"})
    assert "is no token" in message
    assert cloud.requests == []
    assert TOKEN not in repr(vars(Api))


def test_a_token_goes_over_tls_alone(place: str) -> None:
    given = {"DIGITALOCEAN_TOKEN": TOKEN, "HOSTWRIGHT_DIGITALOCEAN_URL": "http://203.0.113.1"}
    assert "the token goes there, so write https" in refused(place, given)


def test_a_redirect_is_not_followed(cloud: Cloud, api: Api) -> None:
    cloud.fail("GET", Fault(302, (("Location", f"{cloud.url}/v2/elsewhere"),)))
    with pytest.raises(DropletsError, match="302"):
        api.droplets(tag=STAGING)
    assert len(cloud.requests) == 1


def test_too_many_requests_are_waited_for(cloud: Cloud, api: Api, pauses: list[float]) -> None:
    cloud.add("web-1", STAGING)
    reset = str(int(time.time()) + 9)
    cloud.fail("GET", Fault(429, (("Retry-After", "7"),)), Fault(429, (("ratelimit-reset", reset),)))
    assert len(api.droplets(tag=STAGING)) == 1
    assert pauses[0] == 7
    assert 7 <= pauses[1] <= 9


def test_a_wait_that_is_too_long_is_told_instead(cloud: Cloud, api: Api, pauses: list[float]) -> None:
    cloud.fail("GET", Fault(429, (("Retry-After", "20"),)), Fault(429, (("Retry-After", "20"),)))
    with pytest.raises(RefusedError, match=r"rate limit is reached \(429: .*run again in 20 s"):
        api.droplets(tag=STAGING)
    assert pauses == [20]
    when = email.utils.formatdate(time.time() + 3, usegmt=True)
    cloud.fail("GET", Fault(429, (("Retry-After", when),)))
    assert api.droplets(tag=STAGING) == []


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault(500), "API failed (500: a message of status 500); see https://status.digitalocean.com"),
        (Fault(503, text="<html>"), "API failed (503)"),
        (Fault(), "ended before the answer did"),
        (Fault(200, text="x" * 900, cut=True), "ended before the answer did"),
        (Fault(200, text="<html>"), "that is none (200) when asked"),
        (Fault(seconds=0.6), "did not answer in time"),
    ],
)
def test_failures_that_pass_are_tried_again(
    cloud: Cloud, api: Api, pauses: list[float], fault: Fault, message: str
) -> None:
    cloud.add("web-1", STAGING)
    cloud.fail("GET", fault)
    assert len(api.droplets(tag=STAGING)) == 1
    assert pauses == [0.5]
    cloud.fail("GET", *[fault] * 4)
    with pytest.raises(DropletsError) as caught:
        api.droplets(tag=STAGING)
    assert message in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert pauses == [0.5, 0.5, 1, 2]
    assert len(cloud.requests) == 6


@pytest.mark.parametrize(("status", "message"), [(403, "may not list the droplets"), (400, "correct it")])
def test_a_refusal_is_final(cloud: Cloud, api: Api, status: int, message: str) -> None:
    cloud.fail("GET", Fault(status))
    with pytest.raises(RefusedError, match=message):
        api.droplets(tag=STAGING)
    assert len(cloud.requests) == 1


def test_pages_without_end(cloud: Cloud, api: Api) -> None:
    text = json.dumps({"droplets": [], "links": {"pages": {"next": "x"}}})
    cloud.fail("GET", *[Fault(200, text=text)] * 101)
    with pytest.raises(DropletsError, match="more than 100 pages"):
        api.droplets(tag=STAGING)
    cloud.faults.clear()
    cloud.fail("GET", Fault(200, text='{"message": "x"}'), Fault(200, text="[]"))
    with pytest.raises(DropletsError, match="without a list of droplets"):
        api.droplets(tag=STAGING)
    with pytest.raises(DropletsError, match="no table"):
        api.droplets(tag=STAGING)


def test_nobody_there(pauses: list[float]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    api = Api(TOKEN, url=url, patience=Patience(connect=1), sleep=pauses.append)
    with pytest.raises(DropletsError, match=r"cannot be reached .*look at this machine's network"):
        api.droplets(tag=STAGING)
    assert pauses == [0.5, 1, 2]


def pyinfra(cloud: Cloud, *words: str, **more: str) -> tuple[int, str, str]:
    env = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **environ(cloud, **more)}
    code, out, error = warm.run([*words], cwd=PROJECT, env=env, timeout=60)
    assert TOKEN not in out + error
    return code, out, error


def test_pyinfra_reads_it_as_a_program(cloud: Cloud) -> None:
    cloud.add("web-1", "hostwright-do", "portfolio", "no-group-of-ours")
    cloud.add("web-2", "hostwright-do")
    code, out, error = pyinfra(cloud, "inventories/do.py", "debug-inventory", "--json")
    assert code == 0, error
    hosts = {one["name"]: one for one in json.loads(out)}
    assert hosts["web-1"]["data"]["ssh_hostname"] == "203.0.113.1"
    assert hosts["web-1"]["data"]["droplet"]["region"] == "fra1"
    assert list(hosts["web-1"]["data"]["apps"]) == ["portfolio_manager"]
    assert list(hosts["web-2"]["data"]["apps"]) == ["rec_io"]


@pytest.mark.parametrize(
    ("limit", "names"), [("portfolio", {"web-1"}), ("web-2", {"web-2"}), ("web-*", {"web-1", "web-2"})]
)
def test_a_limit_names_hosts_and_groups(cloud: Cloud, limit: str, names: set[str]) -> None:
    for name, tags in (("web-1", ["portfolio"]), ("web-2", [])):
        here = {"v4": [{"type": "public", "ip_address": "127.0.0.1"}]}
        cloud.add(name, "hostwright-do", *tags, networks=here)
    # Nothing listens there: each host that is meant says so.
    words = ["inventories/do.py", "fact", "server.Hostname", "--limit", limit, "--debug"]
    _, out, error = pyinfra(cloud, *words, HOSTWRIGHT_DO_PORT="1")
    assert "web-1" in out + error or "web-2" in out + error
    assert {name for name in ("web-1", "web-2") if f"[{name}] " in out + error} == names


def test_pyinfra_says_what_is_wrong(cloud: Cloud) -> None:
    code, out, error = pyinfra(cloud, "inventories/do.py", "deploy.py", "-y")
    assert code == 1
    assert "no droplet has the tag 'hostwright-do'" in out + error
    assert "Traceback" not in out + error
    cloud.fail("GET", Fault(401))
    code, out, error = pyinfra(cloud, "inventories/do.py", "deploy.py", "-y", "--debug")
    assert code == 1
    assert "refuses the token" in out + error
    assert "Traceback" not in out + error


def test_the_acceptance_suite_reads_it_too(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.add("web-1", "hostwright-do", "portfolio")
    cloud.add("old-1", "hostwright-do", status="off")
    for key, value in environ(cloud).items():
        monkeypatch.setenv(key, value)
    (host,) = declared.read(str(PROJECT / "inventories" / "do.py"))
    assert host.address == "203.0.113.1"
    assert [app.key for app in host.settings.all_apps()] == ["portfolio_manager"]


def test_a_run_without_a_token_does_not_import_the_client() -> None:
    text = (
        "import sys, host_lists; host_lists.listed('inventories/do.py', {'HOSTWRIGHT_DO_HOSTS': 'web-1'}); "
        "sys.exit('pydo' in sys.modules or 'droplets' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", text], cwd=PROJECT, check=True)
