"""The dashboard's files: what is put on a host, and what it may load there."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from pyinfra.api import OperationError

from facts.script import HOST_PROGRAMS
from operations import bundle, dashboard, monitoring
from operations.monitored import Monitoring
from tests.lab.playbook import PROJECT

FILES = {one.path.rpartition("/")[2]: one for one in dashboard.files()}


def test_each_alert_of_the_rules_has_its_words_on_the_page() -> None:
    said = json.loads(FILES["runbook.json"].text)
    assert set(said) == set(re.findall(r"alert: (\w+)", monitoring.rules()))
    for one in said.values():
        assert one["first"].endswith(".")
        assert [line.partition(":")[0] for line in one["text"].splitlines()] == ["Look", "Do", "Ends"]


def test_a_runbook_is_read_by_its_paragraphs() -> None:
    steps = "\n- Look: at\n  it.\n- Do: mend.\n- Ends: so."
    text = f"# R\n\n## Part\n\n### One\n\nIt is\nbroken. See.\n{steps}\n\n## More\n\nx\n"
    assert json.loads(dashboard.runbook(text)) == {
        "One": {"first": "It is broken. See.", "text": "Look: at it.\nDo: mend.\nEnds: so."}
    }


def test_the_page_loads_nothing_but_what_lies_beside_it() -> None:
    html = FILES["index.html"].text
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy[1]
    for name, one in FILES.items():
        if one.link is None and name != "runbook.json":
            loaded = re.findall(r"""(?:src|href)="([^"]+)"|from "([^"]+)"|import\("([^"]+)"\)""", one.text)
            for place in filter(None, (part for found in loaded for part in found)):
                local = place.removeprefix("./").partition("?")[0]
                assert place.startswith(("../", "data:")) or local in FILES, place
            # Only the name of a vocabulary; nothing is fetched there.
            assert set(re.findall(r"https?://[^\"' ]*", one.text)) <= {"http://www.w3.org/2000/svg"}
            assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", one.text)
            assert len(one.text.splitlines()) < 300


def test_parts_of_two_versions_never_meet() -> None:
    loaded = {
        (name, version)
        for one in FILES.values()
        for name, version in re.findall(r'"(?:\./)?([a-z0-9]+\.(?:js|css))(?:\?(\w+))?"', one.text)
    }
    versions = {version for name, version in loaded if name != "d3.js"}
    assert {name for name, _ in loaded} == {*dashboard.NAMES, "d3.js"} - {"index.html"}
    assert len(versions) == 1
    assert re.fullmatch(r"[0-9a-f]{8}", versions.pop())


def test_the_first_paint_is_small() -> None:
    def size(*names: str) -> int:
        return sum(len(FILES[name].text.encode()) for name in names)

    assert size("index.html", "dashboard.css") < 10_000
    assert size("index.html", "dashboard.css", "dashboard.js", "data.js", "view.js", "words.js") < 36_000


def test_all_sources_are_installed_and_prometheus_is_told_where() -> None:
    assert set(dashboard.NAMES) == {one.name for one in dashboard.SOURCES.iterdir()}
    about = Monitoring(host="web-1")
    made = {one.path: one for one in monitoring.files(about)}
    assert {f"{dashboard.ROOT}/{name}" for name in FILES} <= set(made)
    assert (
        f"--web.user-assets={dashboard.ROOT} " in made[f"{bundle.UNITS}/hostwright-prometheus.service"].text
    )
    without = monitoring.files(Monitoring(host="web-1", server=False))
    assert not [one for one in without if one.path.startswith(dashboard.ROOT)]


def test_a_link_is_made_found_and_made_anew_where_it_leads_elsewhere(tmp_path: Path) -> None:
    program = HOST_PROGRAMS / "bundle.py"
    link = tmp_path / "page" / "d3.js"

    def run(verb: str, given: dict[str, object]) -> str:
        words = ["python3", "-I", str(program), verb]
        told = json.dumps(given)
        if verb == "state":
            return subprocess.run([*words, told], capture_output=True, text=True, check=True).stdout
        return subprocess.run(words, input=told, capture_output=True, text=True, check=True).stdout

    def apply(target: str) -> None:
        run("apply", {
            "files": {str(link): {"link": target}}, "write": [str(link)],
            "checks": [], "remove": [], "gone": [], "start": [], "answers": {},
        })  # fmt: skip

    apply("/usr/share/one.js")
    apply("/usr/share/two.js")
    assert os.readlink(link) == "/usr/share/two.js"  # noqa: PTH115
    assert [one.name for one in link.parent.iterdir()] == ["d3.js"]
    found = json.loads(run("state", {"owned": [f"{link.parent}/*"], "units": {}}))
    assert found["files"] == {str(link): {"link": "/usr/share/two.js"}}
    mine = bundle.File(str(link), link="/usr/share/two.js")
    assert bundle.difference([mine], [], found).write == []
    other = bundle.File(str(link), link="/usr/share/one.js")
    assert bundle.difference([other], [], found).write == [str(link)]
    assert bundle.difference([bundle.File(str(link), "text\n")], [], found).write == [str(link)]


def test_a_link_has_no_text() -> None:
    one = bundle.File("/opt/x", "text\n", link="/opt/y")
    with pytest.raises(OperationError, match="/opt/x is a link, and has a text; write one of them"):
        list(bundle.present._inner(what="x", files=[one], units=[], owned=["/opt/x"]))


def test_the_pictures_of_the_docs_are_there() -> None:
    page = (PROJECT / "docs" / "dashboard.md").read_text()
    for name in re.findall(r"\]\((dashboard[\w-]*\.png)\)", page):
        assert (PROJECT / "docs" / name).stat().st_size < 150_000
