"""Lab hosts for tests: made when a module starts, taken down when it ends, whatever happens between."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from lab import lifecycle, state
from lab.errors import LabError
from tests.lab import schedule, templates
from tests.lab.playbook import LabHost, one_login

IMAGES = ("bookworm", "trixie")
# Whose the host is stands in its name: parallel workers and a developer's own hosts never meet, and what
# a killed session left behind is found by the next one.
NAME = re.compile(r"test-(?P<pid>[0-9]+)-[a-z0-9-]+")


def host_name(image: str, module: str) -> str:
    """Name this process's lab host for one image and test module."""
    part = re.sub(r"[^a-z0-9]+", "-", module.rsplit(".", 1)[-1].removeprefix("test_").lower()).strip("-")
    return f"test-{os.getpid()}-{image[:8]}-{part}"[:32].rstrip("-")


def left_behind(names: list[str]) -> list[str]:
    """Pick the hosts of test sessions that are dead."""
    found = (NAME.fullmatch(name) for name in names)
    return [match[0] for match in found if match and not Path(f"/proc/{match['pid']}").exists()]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of this suite."""
    parser.addoption(
        "--everything", action="store_true", default=False,
        help="every test on every image, where one is enough as well; promotion from bare hosts",
    )  # fmt: skip


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take out what one image proves for all; put the longest first, and the tests of one host together."""
    out = [] if config.getoption("--everything", default=False) else [one for one in items if not enough(one)]
    if out:
        config.hook.pytest_deselected(items=out)
    items[:] = sorted(
        (one for one in items if one not in set(out)), key=lambda item: schedule.rank(item.nodeid)
    )


def enough(item: pytest.Item) -> bool:
    """Tell whether a test is on an image that it, or its module, asks for; the nearest mark decides."""
    mark, call = item.get_closest_marker("images"), getattr(item, "callspec", None)
    image = call.params.get("lab_host") if call is not None else None
    return mark is None or image is None or image in mark.args


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    """Give each worker one host at a time, where it was asked for one module at a time."""
    return schedule.HostScheduling(config, log) if config.getvalue("dist") == "loadscope" else None


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remove the disks that the parallel workers shared, once they have all ended."""
    if not hasattr(session.config, "workerinput"):
        templates.forget(os.getpid())


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what runs ask their hosts, and see on them, apart from what whoever runs the tests has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOSTWRIGHT_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("HOSTWRIGHT_DIAGNOSTICS", str(tmp_path_factory.mktemp("diagnostics")))
        yield


@pytest.fixture(scope="session", autouse=True)
def tidy_lab() -> Iterator[None]:
    """Take down what killed sessions left behind; let SIGTERM end this one as Ctrl-C does, tidily."""
    former = signal.signal(signal.SIGTERM, signal.default_int_handler)
    for name in left_behind([host.name for host in state.load_all()]):
        lifecycle.down(name)
    templates.forget()
    yield
    signal.signal(signal.SIGTERM, former)


def template_of(request: pytest.FixtureRequest) -> str | None:
    """Return what the hosts of a module start from, None for the bare image."""
    if request.config.getoption("--everything") and getattr(request.module, "BARE_AS_WELL", False):
        return None
    template: str | None = getattr(request.module, "TEMPLATE", None)
    return template


@pytest.fixture(scope="module", params=IMAGES)
def lab_host(request: pytest.FixtureRequest) -> Iterator[LabHost]:
    """
    Boot one lab host for each image and test module.

    A module that has ONE_LOGIN looks at it over one login, see `playbook.one_login`.
    It is a bare one, unless the module has a constant TEMPLATE: "packages" or "deployed"; with --everything
    a module that has BARE_AS_WELL gets a bare one all the same.
    One that has MEMORY gets a host with that many bytes.
    A machine that cannot run the lab fails these tests, saying what is missing: skipped, they would
    look like tests that passed.
    """
    image: str = request.param
    name = host_name(image, request.module.__name__)
    template = template_of(request)
    try:
        with templates.disk(template, image) as saved:
            memory: int | None = getattr(request.module, "MEMORY", None)
            host = lifecycle.up(name, image=image, disk=saved, memory=memory)
        made = LabHost(
            name=name, image=image, address=host.address, key=host.key, known_hosts=host.known_hosts
        )
        if template is not None:
            templates.settled(made, template)
        if getattr(request.module, "ONE_LOGIN", False):
            with one_login(made) as shared:
                yield shared
        else:
            yield made
    except LabError as error:
        pytest.fail(f"the lab cannot run {name}: {error}", pytrace=False)
    finally:
        lifecycle.down(name)
