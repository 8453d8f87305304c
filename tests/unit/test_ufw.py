"""The pure part of `operations/ufw.py`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyinfra.api import OperationError

from operations.ufw import Rule, bare, difference, refuse_contradictions, rule_line, ssh_lines


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ({"port": 22}, "allow 22/tcp"),
        ({"port": "443"}, "allow 443/tcp"),
        ({"port": "8000:8010", "proto": "udp"}, "allow 8000:8010/udp"),
        ({"port": 80, "source": None, "comment": None}, "allow 80/tcp"),
        ({"port": 80, "comment": "the web"}, "allow 80/tcp comment 'the web'"),
        ({"port": 80, "source": "198.18.4.0/24"}, "allow from 198.18.4.0/24 to any port 80 proto tcp"),
        ({"port": 80, "source": "198.18.4.1/32"}, "allow from 198.18.4.1 to any port 80 proto tcp"),
        (
            {"port": 80, "source": "198.18.4.1", "destination": "198.18.4.2"},
            "allow from 198.18.4.1 to 198.18.4.2 port 80 proto tcp",
        ),
        ({"port": 80, "source": "2001:DB8::/32"}, "allow from 2001:db8::/32 to any port 80 proto tcp"),
    ],
)
def test_rules_are_written_as_ufw_shows_them(rule: Rule, line: str) -> None:
    assert rule_line(rule) == line


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"port": 0}, "port 0 is no port"),
        ({"port": 65536}, "port 65536 is no port"),
        ({"port": True}, "port True is no port"),
        ({"port": "http"}, "port 'http' is no port"),
        ({"port": "1:2:3"}, "port '1:2:3' is no port"),
        ({"port": "20:10"}, "port range '20:10' is empty"),
        ({"port": "-1"}, "port '-1' is no port"),
        ({"port": 80, "proto": "icmp"}, "proto 'icmp' of port 80"),
        ({"port": 80, "source": "10.0.0.1/8"}, "source '10.0.0.1/8' is no network"),
        ({"port": 80, "source": "example.org"}, "source 'example.org' is no network"),
        ({"port": 80, "source": "0.0.0.0/0"}, "leave the source out"),
        ({"port": 80, "destination": "198.18.4.2"}, "destination '198.18.4.2' of port 80 needs a source"),
        ({"port": 80, "source": "198.18.4.1", "destination": "any"}, "destination 'any' is no address"),
        ({"port": 80, "comment": "it's"}, "has characters that ufw refuses"),
        ({"port": 80, "comment": "a\nb"}, "has characters that ufw refuses"),
        ({"port": 80, "form": "x"}, "is no rule"),
        ({"proto": "tcp"}, "is no rule"),
    ],
)
def test_bad_rules_are_named(rule: Rule, message: str) -> None:
    with pytest.raises(OperationError) as caught:
        rule_line(rule)
    assert message in str(caught.value)


def test_ssh_comes_first_and_not_twice() -> None:
    assert ssh_lines([22], [], None) == ["allow 22/tcp comment 'SSH'"]
    assert ssh_lines([22], ["allow 22/tcp comment 'mine'"], None) == []
    assert ssh_lines([22, 2222], [], ["198.18.4.7"]) == [
        "allow from 198.18.4.7 to any port 22 proto tcp comment 'SSH'",
        "allow from 198.18.4.7 to any port 2222 proto tcp comment 'SSH'",
    ]
    with pytest.raises(OperationError, match="would lock us out"):
        ssh_lines([22], [], [])


def test_contradictions() -> None:
    refuse_contradictions(["allow 1/tcp comment 'a'", "allow 1/tcp comment 'a'"])
    with pytest.raises(OperationError, match="'allow 1/tcp' is declared twice"):
        refuse_contradictions(["allow 1/tcp comment 'a'", "allow 1/tcp"])


def test_a_changed_comment_is_added_and_never_deleted() -> None:
    add, delete = difference(["allow 1/tcp comment 'b'"], ["allow 1/tcp comment 'a'"], keep_foreign=False)
    assert (add, delete) == (["allow 1/tcp comment 'b'"], [])


RULES = st.lists(
    st.builds(
        lambda port, proto, comment: rule_line({"port": port, "proto": proto, "comment": comment}),
        st.integers(1, 9), st.sampled_from(["tcp", "udp"]), st.sampled_from([None, "x", "y"]),
    ),
    unique_by=bare,
)  # fmt: skip


@given(RULES, RULES)
def test_the_difference_leads_to_what_is_wanted(wanted: list[str], existing: list[str]) -> None:
    add, delete = difference(wanted, existing, keep_foreign=False)
    replaced = {bare(line) for line in add}
    left = [line for line in existing if line not in delete and bare(line) not in replaced]
    assert sorted(left + add) == sorted(wanted)
    assert difference(wanted, wanted, keep_foreign=False) == ([], [])


@given(RULES, RULES)
def test_foreign_rules_are_kept_when_asked(wanted: list[str], existing: list[str]) -> None:
    assert difference(wanted, existing, keep_foreign=True)[1] == []
