"""A run that cannot be right ends with a message and exit 1, before any host is connected to."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.lab import warm

PROJECT = Path(__file__).resolve().parents[2]
# Nothing listens there (RFC 5737): a run that went on to connect would say so.
HOST = "('app-1', {'ssh_hostname': '192.0.2.255', 'ssh_port': 9, 'ssh_user': 'ops', '_sudo': True})"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a copy of what a run needs, with one app of its own."""
    for name in (
        "ahead.py", "config.py", "deployable.py", "guard.py", "interrupts.py", "app_source.py",
        "host_lists.py", "playbook_identity.py", "artefact", "connectors", "env_example", "facts",
        "files", "lint", "operations", "receipts", "settings", "tasks", "templates",
    ):  # fmt: skip
        source = PROJECT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    (tmp_path / "inventories").mkdir()
    (tmp_path / "group_data").mkdir()
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "requirements.txt").write_text("six==1 --hash=sha256:00\n")
    (tmp_path / "shop" / ".env.example").write_text("SHOP_PORT=1\n")
    (tmp_path / "deploy.py").write_text("raise SystemExit('the deploy file was reached')\n")
    (tmp_path / "inventories" / "one.py").write_text(f"hosts = [{HOST}]\n")
    (tmp_path / "inventories" / "none.py").write_text("hosts = []\n")
    (tmp_path / "inventories" / "staging.py").write_text(
        "import guard, host_lists\nhosts = guard.hosts(host_lists.listed(__file__), remedy='List them.')\n"
    )
    app = {
        "source": "shop",
        "services": {"web": {"command": "python -m shop"}},
        "variables": {"SHOP_PORT": "1"},
        "env_example": ".env.example",
    }
    (tmp_path / "group_data" / "one.py").write_text(f"environment = 'one'\napps = {{'shop': {app!r}}}\n")
    return tmp_path


def run(project: Path, *arguments: str, cwd: Path | None = None, **environ: str) -> tuple[int, str]:
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(project), "HOME": str(project), **environ}
    code, out, error = warm.run([*arguments], cwd=cwd or project, env=env, timeout=60)
    return code, " ".join((out + error).split())


def refused(project: Path, *arguments: str, cwd: Path | None = None, **environ: str) -> str:
    code, output = run(project, *arguments, cwd=cwd, **environ)
    assert code == 1, output
    assert "Connecting to hosts" not in output
    assert "Traceback" not in output
    return output


def test_a_sound_run_goes_on_to_connect(project: Path) -> None:
    """What shows that the other tests are refused for their own reason."""
    code, output = run(project, "-y", "inventories/one.py", "deploy.py")
    assert code == 1
    assert "Connecting to hosts" in output


def test_a_connector_that_there_is_not(project: Path) -> None:
    output = refused(project, "inventories/one.py", "deploy.py", HOSTWRIGHT_CONNECTOR="quick")
    assert "HOSTWRIGHT_CONNECTOR is 'quick'; write 'fast' or 'plain', or unset it" in output
    with (project / "group_data" / "one.py").open("a") as file:
        file.write("connector = 'quick'\n")
    assert "connector: 'quick'" in refused(project, "inventories/one.py", "deploy.py")


def test_a_mistyped_inventory(project: Path) -> None:
    output = refused(project, "inventories/onne.py", "deploy.py")
    assert "inventory 'inventories/onne.py' does not exist; did you mean inventories/one.py?" in output


def test_an_inventory_without_hosts(project: Path) -> None:
    assert "inventory 'inventories/none.py' has no hosts" in refused(
        project, "inventories/none.py", "deploy.py"
    )


def test_staging_without_hosts_says_where_to_list_them(project: Path) -> None:
    assert "the inventory has no hosts. List them." in refused(project, "inventories/staging.py", "deploy.py")


def test_a_limit_that_matches_nothing(project: Path) -> None:
    assert "leave none" in refused(project, "inventories/one.py", "--limit", "app-2", "deploy.py")


def test_no_wait_is_refused(project: Path) -> None:
    assert "--no-wait goes on past failed steps" in refused(
        project, "--no-wait", "inventories/one.py", "deploy.py"
    )


def test_a_misspelled_key(project: Path) -> None:
    with (project / "group_data" / "one.py").open("a") as file:
        file.write("swpa = {'size': '1G'}\n")
    assert "swpa: there is no such setting; did you mean 'swap'?" in refused(
        project, "inventories/one.py", "deploy.py"
    )


def test_group_data_of_another_environment(project: Path) -> None:
    data = project / "group_data" / "one.py"
    data.write_text(data.read_text().replace("'one'", "'do'"))
    output = refused(project, "inventories/one.py", "deploy.py")
    assert "set environment = 'one' in group_data/one.py" in output


def test_no_group_data_at_all(project: Path) -> None:
    (project / "group_data" / "one.py").unlink()
    output = refused(project, "inventories/one.py", "deploy.py")
    assert "group_data/one.py was not found" in output


def test_started_in_another_directory(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (project / "inventories" / "staging.yaml").write_text("- name: app-1\n")
    output = refused(
        project, str(project / "inventories" / "staging.py"), str(project / "deploy.py"), cwd=elsewhere
    )
    assert f"run it in the project: cd {project}" in output


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("('user', 'deployer'), ('user', 'ops')", "apps.shop.user: 'ops' is the login of host app-1"),
        ("('services', {'web': {'command': 'x', 'port': 9}})", "port 9 is SSH's on host app-1"),
        ("('services', {'web': {'command': ['x', 'a ;b']}})", "supervisor"),
        ("('source', 'tree')", "apps.shop.source: has venv/mine, where each release has its own venv"),
        ("('source', 'shup')", "apps.shop.source: 'shup' is not a directory"),
        ("('requirements', 'lock.txt')", "apps.shop.requirements: shop/lock.txt does not exist"),
        ("('variables', {})", "shop/.env.example: SHOP_PORT is in it but not declared; declare it"),
        (
            "('variables', {'SHOP_PORT': 1, 'SHOP_X': 2})",
            "shop/.env.example: SHOP_X is declared but not in it; add it there",
        ),
        (
            "('secrets', {'key': {'source': 'environment', 'variable': 'SHOP_KEY'}})",
            "apps.shop.secrets.key: environment variable SHOP_KEY is not set; export it",
        ),
        (
            "('secrets', {'key': {'source': 'age', 'file': 'secrets.age'}})",
            "secrets.age does not exist",
        ),
    ],
)
def test_what_the_machine_at_hand_lacks(project: Path, change: str, message: str) -> None:
    (project / "tree" / "venv").mkdir(parents=True)
    (project / "tree" / "requirements.txt").write_text("six==1 --hash=sha256:00\n")
    (project / "tree" / ".env.example").write_text("SHOP_PORT=1\n")
    (project / "tree" / "venv" / "mine").write_text("x")
    with (project / "group_data" / "one.py").open("a") as file:
        file.write(f"apps['shop'].update([{change}])\n")
    assert message in refused(project, "inventories/one.py", "deploy.py")


def test_secret_of_a_bucket_that_is_not_at_hand(project: Path) -> None:
    secrets = {
        key: {"source": "environment", "variable": f"S3_{key.upper()}"}
        for key in ("access_key", "secret_key", "passphrase")
    }
    declared = {"recovery": {"s3": {"endpoint": "store.test", "bucket": "shop", **secrets}}}
    with (project / "group_data" / "one.py").open("a") as file:
        file.write(f"postgresql = {declared!r}\n")
    found = refused(project, "inventories/one.py", "deploy.py", S3_ACCESS_KEY="x", S3_PASSPHRASE="x")
    assert "postgresql.recovery.s3.secret_key: environment variable S3_SECRET_KEY is not set" in found
    assert "access_key: environment" not in found


def test_requirements_without_hashes(project: Path) -> None:
    (project / "shop" / "requirements.txt").write_text("six==1.17.0\n")
    assert "has no hash; make the list with" in refused(project, "inventories/one.py", "deploy.py")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- nam: app-1\n", "staging.yaml, entry 1"),
        ("- name: app-1\n  port: 'x'\n", "staging.yaml, entry 1: port"),
        ("name: app-1\n", "staging.yaml holds no list"),
        ("- [\n", "staging.yaml is not YAML"),
    ],
)
def test_a_host_list_with_a_mistake(project: Path, text: str, message: str) -> None:
    (project / "inventories" / "staging.yaml").write_text(text)
    assert message in refused(project, "inventories/staging.py", "deploy.py")


def test_hosts_from_a_variable(project: Path) -> None:
    (project / "group_data" / "staging.py").write_text("environment = 'staging'\n")
    code, output = run(
        project,
        "inventories/staging.py",
        "debug-inventory",
        HOSTWRIGHT_STAGING_HOSTS="admin@192.0.2.1:2222,192.0.2.2",
    )
    assert code == 0, output
    assert "[192.0.2.1]" in output
    assert "[192.0.2.2]" in output
    assert '"ssh_user": "admin"' in output
    assert '"ssh_port": 2222' in output


def test_a_variable_that_names_no_host(project: Path) -> None:
    output = refused(project, "inventories/staging.py", "deploy.py", HOSTWRIGHT_STAGING_HOSTS="root@")
    assert "'root@' is not a host; write [USER@]ADDRESS[:PORT]" in output


def test_source_that_does_not_travel(project: Path) -> None:
    (project / "shop" / "web.py").write_text('DATA = "/Users/eric/shop/data"\n')
    output = refused(project, "inventories/one.py", "deploy.py")
    assert "apps.shop.source: web.py:1:8: HW101 a home directory of macOS: /Users/eric/s" in output
    assert "take it from a variable, or find it from __file__" in output
