"""Releases and virtual environments on real hosts: whole or not at all, again without a change, pruned."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest

import artefact
from tests.lab import playbook
from tests.lab.playbook import LabHost, run, shell, ssh

TEMPLATE = "packages"
ONE_LOGIN = True
# Debian 13 builds and switches in test_deploy.py and test_portfolio.py.
pytestmark = pytest.mark.images("bookworm")
APP = "/opt/shop"
# One small wheel, and a hash of it.
REQUIREMENTS = "h11==0.16.0 --hash=sha256:63cf8bbe7522de3bf65932fda1d9c2772064ffb3dae62d55932da54b31cb6c86\n"


@pytest.fixture(scope="module")
def prepared(lab_host: LabHost) -> LabHost:
    # Nothing but the release may write below /var/lib.
    shell(lab_host, "systemctl stop postgresql")
    shell(lab_host, "useradd --system --user-group --no-create-home --shell /usr/sbin/nologin shop")
    return lab_host


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "app"
    (root / "bin").mkdir(parents=True)
    (root / "app.py").write_text("print('one')\n")
    (root / "bin" / "tool").write_text("#!/bin/sh\n")
    (root / "bin" / "tool").chmod(0o755)
    (root / "app-link.py").symlink_to("app.py")
    return root


def venv_deploy(requirements: str = REQUIREMENTS, **options: object) -> str:
    return dedent(f"""
        from operations import venv
        venv.built(name="venv", app_dir={APP!r}, requirements={requirements!r}, **{options!r})
    """)


def release_deploy(tree: Path, release: str, **options: object) -> str:
    made = artefact.build(tree)
    given: dict[str, object] = {"archive": str(made.path), "sha256": made.sha256, **options}
    text = "from operations import release\n"
    text += f'release.unpacked(name="unpack", app_dir={APP!r}, release={release!r}, **{given!r})\n'
    return text + f'release.current(name="switch", app_dir={APP!r}, release={release!r})\n'


def python_tag(host: LabHost) -> str:
    return shell(host, "python3 -c 'import sys; print(\"%d%d\" % sys.version_info[:2])'")


def venvs(host: LabHost) -> list[str]:
    return shell(host, f"ls -A {APP}/venvs").split()


def test_requirements_without_hashes_touch_nothing(prepared: LabHost) -> None:
    result = run(prepared, venv_deploy("h11==0.16.0\n"))
    assert result.rc != 0
    assert "'h11==0.16.0' has no hash; make the list with: uv pip compile --generate-hashes" in result.output
    assert ssh(prepared, f"test -e {APP}").returncode == 1


def test_venv_is_built_once_and_read_only(prepared: LabHost) -> None:
    assert run(prepared, venv_deploy()).ok().changed == ["venv"]
    before = playbook.fingerprint(prepared, APP)
    assert run(prepared, venv_deploy()).ok().unchanged == ["venv"]
    assert playbook.fingerprint(prepared, APP) == before
    (name,) = set(venvs(prepared)) - {".lock"}
    inside = f"{APP}/venvs/{name}"
    assert shell(prepared, f"{inside}/bin/python -c 'import h11; print(h11.__version__)'") == "0.16.0"
    assert shell(prepared, f"find {inside} ! -type l '(' ! -user root -o -perm /022 ')'") == ""
    assert "h11/__pycache__" in shell(prepared, f"find {inside} -name '_connection*.pyc'")
    # What was not asked for is not there: pip came from beside it.
    assert ssh(prepared, f"{inside}/bin/python -c 'import pip'").returncode == 1


def test_half_built_venv_is_built_anew(prepared: LabHost) -> None:
    (name,) = set(venvs(prepared)) - {".lock"}
    inside = f"{APP}/venvs/{name}"
    shell(prepared, f"rm -r {inside}/.complete {inside}/lib/python3*/site-packages/h11; touch {inside}/junk")
    assert run(prepared, venv_deploy()).ok().changed == ["venv"]
    assert shell(prepared, f"{inside}/bin/python -c 'import h11'; ls {inside}/junk 2>&1 | wc -l") == "1"
    assert ssh(prepared, f"test -e {inside}/junk").returncode == 1
    assert run(prepared, venv_deploy()).ok().unchanged == ["venv"]


def test_failed_install_says_why_and_leaves_nothing(prepared: LabHost) -> None:
    before = venvs(prepared)
    wrong = REQUIREMENTS.replace("63cf", "0000")
    result = run(prepared, venv_deploy(wrong))
    assert result.rc != 0
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in result.output
    assert "not built, and nothing uses it" in result.output
    assert venvs(prepared) == before


def test_release_is_made_once_and_belongs_to_root(prepared: LabHost, tree: Path) -> None:
    options: dict[str, object] = {
        "files": {"supervisor/web.conf": "x = 1\n"},
        "links": {"data": f"{APP}/shared/data"},
    }
    deploy = release_deploy(tree, "r1", **options)
    assert run(prepared, deploy).ok().changed == ["unpack", "switch"]
    before = playbook.fingerprint(prepared, APP, "/var/lib")
    assert run(prepared, deploy).ok().unchanged == ["unpack", "switch"]
    assert playbook.fingerprint(prepared, APP, "/var/lib") == before
    inside = f"{APP}/releases/r1"
    assert shell(prepared, f"readlink {APP}/current {inside}/data {inside}/app-link.py").split() == [
        "releases/r1", f"{APP}/shared/data", "app.py",
    ]  # fmt: skip
    modes = shell(
        prepared, f"stat -c %a:%U:%G {inside}/app.py {inside}/bin/tool {inside}/supervisor/web.conf"
    )
    assert modes.split() == ["644:root:root", "755:root:root", "644:root:root"]
    refused = ssh(prepared, f"setpriv --reuid=shop --clear-groups touch {inside}/x {inside}/app.py")
    assert refused.stderr.count("Permission denied") == 2
    assert ssh(prepared, "test -e /var/lib/hostwright-upload").returncode == 1
    # Its bytecode is there, and valid: python finds nothing to write, and names the final place.
    trace = shell(
        prepared, f"cd {inside} && python3 -v -c 'import app' 2>&1 | grep -F 'matches {inside}/app.py'"
    )
    assert trace == f"# {inside}/__pycache__/app.cpython-{python_tag(prepared)}.pyc matches {inside}/app.py"


def test_same_name_with_other_content_is_refused(prepared: LabHost, tree: Path) -> None:
    (tree / "app.py").write_text("print('other')\n")
    before = playbook.fingerprint(prepared, APP)
    result = run(prepared, release_deploy(tree, "r1"))
    assert result.rc != 0
    assert "a release never changes, give this one a name of its own" in result.output
    assert playbook.fingerprint(prepared, APP) == before


def test_sudo_login_uploads_without_a_copy_for_others(prepared: LabHost, tree: Path) -> None:
    shell(
        prepared,
        "useradd --create-home ops && install -d -m 0700 -o ops /home/ops/.ssh && "
        "install -m 0600 -o ops /root/.ssh/authorized_keys /home/ops/.ssh/ && "
        "echo 'ops ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/ops && usermod -p '*' ops",
    )
    # No one but root may look into the app's directory; the login must not need to.
    shell(prepared, f"chmod 0750 {APP}")
    login = replace(prepared, user="ops")
    (tree / "app.py").write_text("print('two')\n")
    marker = "/tmp/seen"
    check = f"find /tmp /var/lib/hostwright-upload -name '*.gz' -printf '%h %m %u\\n' >{marker}"
    assert run(login, release_deploy(tree, "r2", validate=check), "--sudo").ok().changed == [
        "unpack",
        "switch",
    ]
    # The directory is 0700, so the mode of the one copy does not matter.
    assert shell(prepared, f"cut -d ' ' -f 1,3 {marker}") == "/var/lib/hostwright-upload/shop ops"
    assert shell(prepared, f"readlink {APP}/current {APP}/previous").split() == ["releases/r2", "releases/r1"]
    assert shell(prepared, f"find {APP}/releases/r2 ! -user root") == ""
    assert run(login, release_deploy(tree, "r2"), "--sudo").ok().unchanged == ["unpack", "switch"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sha256": "0" * 64}, "the archive arrived damaged, and was removed; run again, it is sent anew"),
        ({"validate": "echo web.conf is wrong; exit 3"}, "web.conf is wrong"),
        ({"files": {"bin/web.conf": "x\n"}}, "bin/ is in the application's tree already; rename it there"),
        ({"files": {"app.py": "x\n"}}, "app.py is in the application's tree already"),
        ({"links": {"bin": "/opt"}}, "bin is in the application's tree, and is to be a link to /opt"),
    ],
)
def test_refused_release_changes_nothing(
    prepared: LabHost, tree: Path, options: dict[str, object], message: str
) -> None:
    before = shell(prepared, f"ls -A {APP}/releases; readlink {APP}/current")
    result = run(prepared, release_deploy(tree, "bad", **options))
    assert result.rc != 0
    assert message in result.output
    assert shell(prepared, f"ls -A {APP}/releases; readlink {APP}/current") == before


def test_missing_release_is_never_current(prepared: LabHost) -> None:
    text = f'from operations import release\nrelease.current(name="s", app_dir={APP!r}, release="r9")\n'
    result = run(prepared, text)
    assert result.rc != 0
    assert "there is no whole release r9" in result.output
    assert shell(prepared, f"readlink {APP}/current") == "releases/r2"


def test_host_program_killed_half_way_is_made_good(prepared: LabHost, tree: Path, tmp_path: Path) -> None:
    (tree / "app.py").write_text("print('three')\n")
    place = tmp_path / "run"
    place.mkdir()
    slow = release_deploy(tree, "r3", validate="echo $PPID >/tmp/unpacking; exec sleep 60")
    process = playbook.start(prepared, slow, directory=place)
    shell(prepared, "until test -s /tmp/unpacking; do sleep 0.05; done; kill -9 $(cat /tmp/unpacking)")
    process.communicate(timeout=600)
    assert process.returncode != 0
    assert "r3" not in shell(prepared, f"ls {APP}/releases").split()
    assert ".r3.new" in shell(prepared, f"ls -A {APP}/releases").split()
    assert run(prepared, release_deploy(tree, "r3")).ok().changed == ["unpack", "switch"]
    assert ".r3.new" not in shell(prepared, f"ls -A {APP}/releases").split()


def test_prune_keeps_what_is_current_previous_or_in_use(prepared: LabHost, tree: Path) -> None:
    (tree / "app.py").write_text("print('five')\n")
    (name,) = set(venvs(prepared)) - {".lock"}
    run(prepared, release_deploy(tree, "r5", links={"venv": f"{APP}/venvs/{name}"})).ok()
    shell(prepared, f"cp -a {APP}/venvs/{name} {APP}/venvs/unused; mkdir {APP}/releases/.x.new")
    shell(prepared, f"cd {APP}/releases/r1 && {{ sleep 300 >/dev/null 2>&1 & echo $! >/tmp/sleeper; }}")
    deploy = f'from operations import release\nrelease.pruned(name="prune", app_dir={APP!r}, keep=0)\n'
    assert run(prepared, deploy).ok().changed == ["prune"]
    assert shell(prepared, f"ls -A {APP}/releases").split() == ["r1", "r3", "r5"]
    assert venvs(prepared) == [".lock", name]
    assert run(prepared, deploy).ok().unchanged == ["prune"]
    shell(prepared, "kill $(cat /tmp/sleeper)")
    assert run(prepared, deploy).ok().changed == ["prune"]
    assert shell(prepared, f"ls -A {APP}/releases").split() == ["r3", "r5"]


def part_deploy(tree: Path, release: str, *patterns: str) -> str:
    made = artefact.build(tree)
    found = [artefact.part(made.entries, [pattern], {}) for pattern in patterns]
    about = {"commit": None, "dirty": False, "digest": made.digest, "schema": ["001"]}
    return release_deploy(tree, release, parts=dict(found), about=about)


def part_links(host: LabHost) -> dict[str, str]:
    lines = shell(
        host, f"cd {APP}/parts && for part in *; do echo $part $(readlink $part); done"
    ).splitlines()
    return {name: target.removeprefix("../releases/") for name, target in (line.split() for line in lines)}


def test_a_part_stays_with_the_release_that_it_came_with(prepared: LabHost, tree: Path) -> None:
    run(prepared, part_deploy(tree, "p1", "app.py", "bin")).ok()
    first = part_links(prepared)
    assert set(first.values()) == {"p1"}
    before = playbook.fingerprint(prepared, f"{APP}/parts")
    (tree / "bin" / "tool").write_text("#!/bin/sh\nexit 0\n")
    run(prepared, part_deploy(tree, "p2", "app.py", "bin")).ok()
    links = part_links(prepared)
    assert {name: links[name] for name in first} == first
    assert [links[name] for name in links if name not in first] == ["p2"]
    after = playbook.fingerprint(prepared, f"{APP}/parts")
    assert {path: after[path] for path in before if path != f"{APP}/parts"} == {
        path: before[path] for path in before if path != f"{APP}/parts"
    }
    # What the release says of itself is on the host, and reads as it was given.
    marker = shell(prepared, f"cat {APP}/current/.hostwright.json")
    assert json.loads(marker)["about"]["schema"] == ["001"]
    assert run(prepared, part_deploy(tree, "p2", "app.py", "bin")).ok().changed == []


def test_a_part_that_leads_nowhere_is_repaired(prepared: LabHost, tree: Path) -> None:
    (tree / "bin" / "tool").write_text("#!/bin/sh\nexit 0\n")
    deploy = part_deploy(tree, "p2", "app.py", "bin")
    shared = next(name for name, release in part_links(prepared).items() if release == "p1")
    for damage in ("rm $part", "ln -sfn ../releases/p0 $part", "ln -sfn ../releases/r5 $part"):
        links = f"cd {APP}/parts; for part in *; do {damage}; done"
        shell(prepared, links)
        assert run(prepared, deploy).ok().changed == ["switch"]
        assert part_links(prepared)[shared] == "p2"
        assert run(prepared, deploy).ok().changed == []


def test_prune_keeps_the_release_that_a_part_lies_in(prepared: LabHost, tree: Path) -> None:
    text = "from operations import release\n"
    prune = f'release.pruned(name="prune", app_dir={APP!r}, keep=0, protect=["p0", "r1"])\n'
    # As after an upgrade of one service alone: the other part still lies in p2.
    (tree / "bin" / "tool").write_text("#!/bin/sh\nexit 0\n")
    for number, release in enumerate(("p3", "p4")):
        (tree / "app.py").write_text(f"print({number})\n")
        run(prepared, part_deploy(tree, release, "app.py", "bin")).ok()
    (tree / "app.py").write_text("print('five')\n")
    run(prepared, part_deploy(tree, "p5", "app.py", "bin")).ok()
    run(prepared, part_deploy(tree, "p5", "app.py", "bin") + prune).ok()
    assert shell(prepared, f"ls -A {APP}/releases").split() == ["p2", "p4", "p5"]
    assert sorted(part_links(prepared).values()) == ["p2", "p4", "p5"]
    assert run(prepared, text + prune).ok().unchanged == ["prune"]
