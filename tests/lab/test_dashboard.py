"""The dashboard in a real browser: what it says of a host, of stale data, of a Prometheus that is gone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import browser, dashboard_page
from tests.lab.dashboard_page import HOST, Prometheus, dom, measured, words

EVIL = "<script>document.title='hacked'</script><img src=/user/evil onerror=alert(1)>"
PICTURES = {"dashboard.png": (1000, 890, False), "dashboard-phone.png": (390, 1000, True)}


@pytest.fixture
def prometheus() -> Iterator[Prometheus]:
    with dashboard_page.served() as made:
        # What it was recorded on was busy with tests.
        made.alerts["data"]["alerts"] = []
        made.set("hostwright:cpu_used:ratio", 0.24)
        made.set("node_load1", 0.31)
        yield made


def headline(page: str) -> str:
    found = re.search(r'<h1 id="headline">(.*?)</h1>', page)
    assert found is not None
    return found[1]


def break_service(prometheus: Prometheus) -> None:
    prometheus.set("hostwright_service_running", 0, service="main_app")
    prometheus.set("hostwright_gates_passed", 0)
    prometheus.set("hostwright_gate_failed", 1, app="rec_io", gate="main_app: http /health")
    summary = f"main_app of rec_io on {HOST} does not run"
    prometheus.fire("ServiceDown", summary, app="rec_io", service="main_app")


def test_all_is_well_is_said_first_and_all_is_shown(prometheus: Prometheus) -> None:
    page = dom(prometheus.base)
    text = words(page)
    assert headline(page) == "All is well"
    assert "<title>✓ All is well</title>" in page
    for said in (
        "Services of rec_io",
        "main_app runs",
        "all 8 pass",
        "Disk /",
        "rec_io_db",
        "33 KiB",
        "confirmed",
    ):
        assert said in text
    release = next(
        one["metric"]["release"]
        for one in prometheus.query["data"]["result"]
        if one["metric"]["__name__"] == "hostwright_release_info"
    )
    assert f"rec_io {release}" in text
    assert page.count('<path class="curve line0"') == 20, "ten curves, each with a gap"
    # Each table has a name and heads for rows and columns; the status is read out.
    assert page.count("<table>") == page.count("<caption>") >= 6
    assert 'role="status" aria-live="polite"' in page
    assert page.count("<svg ") == page.count('role="img"') == 10
    # A slow tunnel is asked three times.
    assert sorted(prometheus.asked) == ["alerts", "query", "query_range"]


def test_a_service_that_is_down_comes_first_with_what_to_do(prometheus: Prometheus) -> None:
    break_service(prometheus)
    page = dom(prometheus.base)
    text = words(page)
    assert headline(page) == "2 things are wrong"
    assert "<title>● 2 things are wrong</title>" in page
    assert text.index("main_app of rec_io does not run") < text.index("Services")
    assert "gates of rec_io fail: main_app: http /health" in text
    assert "A service has not been RUNNING for two minutes" in text, "the runbook's first words"
    services = page.partition("Services of rec_io")[2].partition("</table>")[0].replace("<wbr>", "")
    rows = re.findall(r'<tr class="(\w+)"><th scope="row">(\w+)</th>', services)
    assert rows[0] == ("bad", "main_app")
    assert len(rows) == 12
    assert {level for level, _ in rows[1:]} == {"well"}


def test_a_held_app_is_no_trouble(prometheus: Prometheus) -> None:
    break_service(prometheus)
    prometheus.alerts["data"]["alerts"] = []
    prometheus.set("hostwright_held", 1)
    page = dom(prometheus.base)
    assert headline(page) == "It runs; look at this"
    assert "rec_io is held" in words(page)


def test_data_that_is_old_is_called_so(prometheus: Prometheus) -> None:
    for one in prometheus.query["data"]["result"]:
        if one["metric"].get("at") == "measured":
            one["value"][1] = str(prometheus.now - 240)
    page = dom(prometheus.base)
    assert headline(page) == "The data is stale"
    assert "Last data 4 min ago" in words(page)
    assert re.search(r'<body[^>]* class="stale"', page)


def test_apps_that_nobody_looks_at_are_no_well_apps(prometheus: Prometheus) -> None:
    prometheus.set("hostwright_health_run_timestamp_seconds", prometheus.now - 1200)
    page = dom(prometheus.base)
    assert headline(page) == "One thing is wrong"
    assert "its apps were last looked at 20 min ago" in words(page)


def test_without_any_fresh_data_the_last_of_it_is_told(prometheus: Prometheus) -> None:
    prometheus.last = prometheus.now - 3 * 3600
    prometheus.query["data"]["result"] = prometheus.query["data"]["result"][:1]
    prometheus.query["data"]["result"][0]["metric"] = {"__name__": "up"}
    page = dom(prometheus.base)
    assert headline(page) == "The data is stale"
    assert "Nothing was measured for 3 h." in words(page)


def test_no_answer_from_the_start(prometheus: Prometheus) -> None:
    prometheus.down = 0
    page = dom(prometheus.base)
    assert headline(page) == "Prometheus cannot be reached"
    assert "Is the tunnel open?" in words(page)


def test_no_answer_any_more_leaves_what_was_known_and_says_how_old_it_is(prometheus: Prometheus) -> None:
    prometheus.down = 3
    page = dom(prometheus.base, seconds=130)
    text = words(page)
    assert headline(page) == "Prometheus cannot be reached"
    assert re.search(r"Prometheus cannot be reached; last data (1\d\d s|2 min) ago", text)
    assert "main_app runs" in text
    assert re.search(r'<body[^>]* class="stale"', page)


def test_labels_are_text_and_never_markup(prometheus: Prometheus) -> None:
    for one in prometheus.query["data"]["result"]:
        for label in ("app", "service", "host", "datname", "mountpoint", "purpose", "outcome", "releases"):
            if label in one["metric"]:
                one["metric"][label] = EVIL
    prometheus.set("hostwright_gates_passed", 0)
    prometheus.set("hostwright_gate_failed", 1, host=EVIL, app=EVIL, gate=EVIL)
    prometheus.fire(EVIL, EVIL, severity=EVIL, host=EVIL)
    page = dom(prometheus.base)
    assert "hacked" not in headline(page).replace("&lt;", "")
    assert page.count("&lt;script&gt;") > 20, "it is shown"
    scripts = re.findall(r"<script[^>]*>", page)
    assert len(scripts) == 2
    assert re.fullmatch(r'<script type="module" src="dashboard.js\?\w{8}">', scripts[0])
    assert scripts[1] == '<script src="d3.js">'
    assert "<img" not in page
    assert {one for one in prometheus.asked if one.startswith("/")} == set()


@pytest.mark.parametrize("width", [320, 390, 768, 1100])
def test_nothing_scrolls_sideways(prometheus: Prometheus, width: int) -> None:
    break_service(prometheus)
    long = "a_service_with_a_name_that_has_no_place_to_break_and_goes_on_and_on"
    prometheus.set("hostwright_service_running", 1, app="rec_io", service=long)
    found = measured(prometheus.base, width=width)
    assert (found["wide"], found["scrolls"]) == (width, width)
    assert long in found["main"]


def test_many_hosts_the_worst_first_and_one_alone_where_it_is_chosen(prometheus: Prometheus) -> None:
    first = list(prometheus.query["data"]["result"])
    for name in ("web-1", "web-2"):
        prometheus.query["data"]["result"] += [
            {"metric": {**one["metric"], "host": name}, "value": list(one["value"])} for one in first
        ]
    prometheus.set("hostwright_service_running", 0, host="web-2", service="main_app")
    for name in ("LogGrowth", "ErrorLines"):
        prometheus.fire(name, "is more than it was", severity="warning", host="web-1")
    text = words(dom(prometheus.base))
    assert "web-2: main_app of rec_io does not run" in text
    assert text.index("web-2 trouble") < text.index("web-1 look at it") < text.index(f"{HOST} well")
    alone = measured(prometheus.base, "host=web-1")
    assert alone["headline"] == "It runs; look at this"
    assert "The last day of web-1" in alone["main"]
    assert "web-2" not in alone["main"].partition("Services of")[2]


def add_host(prometheus: Prometheus, name: str) -> None:
    """Add a host that measures all that the first one does, with the same values."""
    prometheus.query["data"]["result"] += [
        {"metric": {**one["metric"], "host": name}, "value": list(one["value"])}
        for one in prometheus.query["data"]["result"]
        if one["metric"]["host"] == HOST
    ]


def rows(page: str, caption: str) -> list[str]:
    """Return the rows of a table, as text."""
    table = re.search(rf"<caption><h2>{caption}.*?</table>", page, re.DOTALL)
    assert table is not None, caption
    return [words(one) for one in re.findall(r"<tr class.*?</tr>", table[0], re.DOTALL)]


def test_what_is_of_one_host_stands_beside_its_name_alone(prometheus: Prometheus) -> None:
    """Two hosts with the same app: each value is the one of the host that it is said of."""
    answers = prometheus.query["data"]
    ran = "hostwright_run_ended_timestamp_seconds"
    answers["result"] = [one for one in answers["result"] if one["metric"].get("__name__") != ran]
    add_host(prometheus, "web-2")
    prometheus.set("hostwright_service_memory_bytes", 111 * 2**20, host=HOST, service="main_app")
    prometheus.set("hostwright_service_memory_bytes", 222 * 2**20, host="web-2", service="main_app")
    prometheus.set("hostwright:cpu_used:ratio", 0.11, host=HOST)
    prometheus.set("hostwright:cpu_used:ratio", 0.22, host="web-2")
    prometheus.set("pg_database_size_bytes", 333 * 2**20, host=HOST, datname="rec_io_db")
    prometheus.set("pg_database_size_bytes", 444 * 2**20, host="web-2", datname="rec_io_db")
    prometheus.set("hostwright_gates", 5, host=HOST)
    prometheus.set("hostwright_gates", 6, host="web-2")
    for at in range(8):
        for host, more in (("web-2", 30), (HOST, 0)):
            about = {
                "host": host,
                "run": f"r{at}",
                "outcome": "confirmed",
                "purpose": "deploy.py (do)",
                "releases": "",
            }
            prometheus.set(ran, prometheus.now - 60 * at - more, **about)
    page = dom(prometheus.base)
    seen = {
        "Services": ("main_app · {}", "111 MiB", "222 MiB"),
        "Machine": ("CPU · {}", "11 %", "22 %"),
        "Databases": ("rec_io_db · {}", "333 MiB", "444 MiB"),
        "Gates": ("rec_io · {}", "all 5 pass", "all 6 pass"),
    }
    for caption, (name, here, there) in seen.items():
        for host, value in ((HOST, here), ("web-2", there)):
            (row,) = [one for one in rows(page, caption) if one.startswith(name.format(host))]
            assert value in row.replace("\xa0", " "), (caption, row)
    # The newest runs of all hosts, and not the first host's alone.
    runs = rows(page, "Last runs")
    assert [one.split()[3] for one in runs] == [HOST, "web-2"] * 4
    # A curve has a line of each host, and says whose each is.
    cpu = page.partition("<figcaption>CPU used")[2].partition("</figure>")[0]
    assert re.findall(r'<li class="(line\d)">([^ :]+): now', cpu) == [("line0", HOST), ("line1", "web-2")]
    alone = measured(prometheus.base, "host=web-2")["main"].replace("\xa0", " ")
    assert ("222 MiB" in alone, "111 MiB" in alone, "444 MiB" in alone, "333 MiB" in alone) == (
        True, False, True, False,
    )  # fmt: skip


def test_a_host_that_does_not_answer_is_told_by_its_name(prometheus: Prometheus) -> None:
    """What it measured is gone from the answers, but for that nothing is measured."""
    prometheus.query["data"]["result"] += [
        {"metric": {"__name__": "up", "host": "web-2", "job": job}, "value": [prometheus.now, "0"]}
        for job in ("node", "postgres")
    ] + [
        {
            "metric": {"at": "measured", "host": "web-2", "job": job},
            "value": [prometheus.now, str(prometheus.now)],
        }
        for job in ("node", "postgres")
    ]
    text = words(dom(prometheus.base))
    for said in (
        "web-2: node cannot be asked",
        "web-2: postgres cannot be asked",
        "web-2: nothing is known of its apps",
    ):
        assert said in text
    assert text.index("web-2 trouble") < text.index(f"{HOST} well")


def test_lines_that_a_curve_has_no_room_for_are_told(prometheus: Prometheus) -> None:
    """Six lines can be told apart; that there are more is said."""
    disks = [{"host": HOST, "mountpoint": f"/{at}", "curve": "disk"} for at in range(8)]
    prometheus.more = [{"metric": one, "values": [[prometheus.now - 600, "0.5"]]} for one in disks]
    disk = dom(prometheus.base).partition("<figcaption>Disk used")[2].partition("</figure>")[0]
    assert len(re.findall(r'<li class="line\d">', disk)) == 6
    assert "and 3 more; choose a host" in words(disk)


def test_keys_tell_single_values_of_a_curve(prometheus: Prometheus) -> None:
    found = measured(prometheus.base, "left=1")
    assert re.fullmatch(r"\w{3},? \d\d:\d\d: \d\d\s%", found["cursor"])


def test_it_asks_every_half_minute_and_not_while_nobody_looks(prometheus: Prometheus) -> None:
    assert measured(prometheus.base, seconds=100)["rounds"] == 4
    prometheus.asked.clear()
    assert measured(prometheus.base, "hide=1", seconds=100)["rounds"] == 1
    assert sorted(prometheus.asked) == ["alerts", "query", "query_range"]


def test_the_pictures_of_the_docs_are_taken_from_it(prometheus: Prometheus, tmp_path: Path) -> None:
    """With HOSTWRIGHT_PICTURES=1 they are put into docs/."""
    well, ill = PICTURES
    for name in (well, ill):
        if name == ill:
            break_service(prometheus)
        width, height, dark = PICTURES[name]
        dashboard_page.picture(prometheus.base, tmp_path / name, width=width, height=height, dark=dark)
        browser.kept(tmp_path / name)
