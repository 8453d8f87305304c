"""The report as a page: it fetches nothing, and nothing that a host says is anything but text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from diagnostics.compare import compare
from diagnostics.page import page
from tests.unit.diagnoses import made

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=a>{{ 7*7 }}"


class Tags(HTMLParser):
    """Every tag and attribute of a page, and whether all are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, list[str]] = {}
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for key, value in attrs:
            self.attributes.setdefault(key, []).append(value or "")
        if tag not in ("meta", "br", "wbr", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parsed(text: str) -> Tags:
    found = Tags()
    found.feed(text)
    found.close()
    assert found.open == []
    return found


def worse(found: dict[str, Any]) -> None:
    known = found["apps"]["rec_io"]["services"]
    known["main_app"]["group"]["cpu"] = [97.0, 98.0] * 3


def test_it_needs_nothing_else() -> None:
    text = page([compare(made(), made(worse, later=300))])
    found = parsed(text)
    assert not {"script", "link", "img", "iframe", "object"} & {*found.tags}
    assert not {"src", "href", "srcset"} & found.attributes.keys()
    assert not re.search(r"https?://|url\(|@import", text)
    assert "default-src 'none'" in text
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    assert 'name="viewport"' in text


def test_it_says_what_is_worse_first_and_draws_every_sample() -> None:
    text = page([compare(made(), made(worse, later=300))])
    assert text.index("app-1: worse") < text.index("rec_io/main_app: CPU") < text.index("Services")
    cards = re.findall(r'<section class="card service ([a-z]*)">', text)
    assert cards[0] == "worse"
    assert cards.count("worse") == 1
    plots = re.findall(r'<circle cx="([\d.]+)"', text)
    assert len(plots) > 12 * 6
    assert all(4 <= float(one) <= 128 for one in plots)


def test_hostile_names_are_text() -> None:
    def hostile(found: dict[str, Any]) -> None:
        known = found["apps"]["rec_io"]["services"]
        known["main_app"]["group"]["processes"][0]["name"] = HOSTILE
        known["main_app"]["state"] = HOSTILE
        known["main_app"]["group"]["cpu"] = [99.0] * 6
        known[HOSTILE] = known["trade_manager"]
        found["others"][HOSTILE] = found["others"]["pgbouncer-rec_io.service"]
        found["apps"]["rec_io"]["release"] = HOSTILE
        found["machine"]["failed_units"] = [HOSTILE]
        found["database"]["databases"]["rec_io_db"]["statements"][0]["query"] = HOSTILE
        found["host"] = HOSTILE

    plain, attacked = (parsed(page([compare(made(), made(one, later=300))])) for one in (None, hostile))
    assert {*attacked.tags} == {*plain.tags}
    assert {*attacked.attributes} == {*plain.attributes}
    text = page([compare(made(), made(hostile, later=300))])
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "{{ 7*7 }}" in text


def test_several_hosts_are_on_one_page() -> None:
    def other(found: dict[str, Any]) -> None:
        found["host"] = "app-2"

    text = page([compare(made(), made(later=9)), compare(made(other), made(other, later=9))])
    assert text.count("<h1>") == 2
    parsed(text)


def test_a_host_that_was_bare_before() -> None:
    def bare(found: dict[str, Any]) -> None:
        found.update(apps={}, database=None, machine=None, updates=None, versions=None, ledger=None, busy=[])

    parsed(page([compare(made(bare), made(later=300))]))
    assert compare(made(bare), made(later=300)).of("worse") == []
