"""Several apps on one host, and the documented command without -y."""

from __future__ import annotations

import re

import pytest

from tests.lab.playbook import PROJECT, LabHost, shell
from tests.lab.project import STATUS, Deployed, copy

TEMPLATE = "packages"
SHOP_STATUS = STATUS.replace("rec_io", "shop")
pytestmark = pytest.mark.parametrize("lab_host", ["bookworm"], indirect=True, scope="module")


def hashed(package: str) -> str:
    """Return one package of the project's own lock file, with its hashes."""
    lock = (PROJECT / "requirements" / "all.txt").read_text()
    found = re.search(rf"^{package}==.*(\n    --hash.*)+", lock, re.MULTILINE)
    assert found is not None
    return found[0].rstrip("\\ ") + "\n"


@pytest.fixture(scope="module")
def deployed(lab_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """Deploy the example and a second app, without a database: by enter, not by -y."""
    project = copy(tmp_path_factory.mktemp("clone"))
    shop = project / "shop"
    shop.mkdir()
    (shop / "requirements.txt").write_text(hashed("six"))
    (shop / "index.html").write_text("first\n")
    service = {"command": "python -u -m http.server --bind 127.0.0.1 8100", "port": 8100}
    with (project / "group_data" / "lab.py").open("a") as file:
        file.write(
            f"overrides['apps'] = {{'shop': {{'source': 'shop', 'services': {{'web': {service!r}}}}}}}\n"
        )
    # An override changes an app that is there; a new one is declared beside the others.
    with (project / "group_data" / "all.py").open("a") as file:
        file.write("apps['shop'] = {'source': 'shop', 'services': {'web': {'command': 'python'}}}\n")
    result = Deployed(lab_host, "root", project)
    result.run(typed="\n")
    return result


def test_both_run_as_users_of_their_own(deployed: Deployed) -> None:
    assert shell(deployed.host, STATUS).count("RUNNING") == 12
    assert shell(deployed.host, SHOP_STATUS).count("RUNNING") == 1
    for unit, user in (("rec_io", "trader"), ("shop", "shop")):
        pid = shell(deployed.host, f"systemctl show -p MainPID --value {unit}")
        assert shell(deployed.host, f"ps -o user= -p {pid}").strip() == user
    assert shell(deployed.host, "runuser -u shop -- ls /etc/rec_io 2>&1; true").endswith("Permission denied")
    assert deployed.changed() == []


def test_a_change_of_one_leaves_the_other_alone(deployed: Deployed) -> None:
    before = shell(deployed.host, f"{STATUS} | awk '{{print $1, $4}}'")
    (deployed.project / "shop" / "index.html").write_text("second\n")
    changed = deployed.changed()
    assert changed
    # Looked at, and left as it is: the change is the whole host's to confirm.
    assert [name for name in changed if "rec_io" in name] == ["Gates | Check the gates of rec_io"]
    assert shell(deployed.host, f"{STATUS} | awk '{{print $1, $4}}'") == before
    page = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8100/').read().decode().strip())"
    assert shell(deployed.host, f'python3 -c "{page}"') == "second"


@pytest.mark.parametrize(
    ("override", "damage", "message"),
    [
        (
            "'user': 'colleague'",
            "useradd --create-home --shell /bin/bash colleague",
            "is another account already",
        ),
        ("'command': 'pyhton x'", "true", "there is no program"),
    ],
)
def test_what_would_take_over_or_not_start_is_refused(
    deployed: Deployed, override: str, damage: str, message: str
) -> None:
    shell(deployed.host, damage)
    before = shell(deployed.host, f"{SHOP_STATUS}; readlink /opt/shop/current; cut -d: -f1,6,7 /etc/passwd")
    lab = deployed.project / "group_data" / "lab.py"
    lab_before = lab.read_text()
    key = "['services']['web']" if "command" in override else ""
    lab.write_text(f"{lab_before}overrides['apps']['shop']{key}.update({{{override}}})\n")
    process = deployed.start("-y")
    stdout, stderr = process.communicate(timeout=300)
    lab.write_text(lab_before)
    assert process.returncode == 1
    assert message in stdout + stderr
    after = shell(deployed.host, f"{SHOP_STATUS}; readlink /opt/shop/current; cut -d: -f1,6,7 /etc/passwd")
    assert re.sub(r"uptime.*", "", after) == re.sub(r"uptime.*", "", before)
    assert deployed.changed() == []
