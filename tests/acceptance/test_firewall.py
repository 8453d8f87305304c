"""Who gets in: the firewall's rules, what answers from outside, and what listens."""

from __future__ import annotations

import ipaddress

import pytest

from declared import DeclaredHost, Service
from settings import Settings
from settings.app import App
from settings.monitoring import EXPORTER_PORTS
from tests.acceptance.remote import Host
from tests.acceptance.view import HostView

# Listeners of the machine itself, by protocol and port, that a firewall rule is not needed for: the answers
# to its own requests for an address arrive there.
OF_THE_MACHINE = {("udp", 68): "DHCP client", ("udp", 546): "DHCPv6 client"}


@pytest.fixture
def firewall(settings: Settings) -> Settings:
    """The settings of a host whose firewall is declared."""
    if not settings.firewall.enabled:
        pytest.skip("group_data says firewall enabled = False")
    return settings


def test_firewall_is_active_and_denies(declared: DeclaredHost, firewall: Settings, view: HostView) -> None:
    """Incoming traffic that no rule names is dropped: in ufw's words, and in the kernel."""
    said = view.ufw()
    assert "Status: active" in said["status"]
    assert "Default: deny (incoming)" in said["status"]
    assert "-P INPUT DROP" in said["live"]


def test_firewall_starts_at_boot(declared: DeclaredHost, firewall: Settings, host: Host) -> None:
    """The firewall is there after a boot, before anything answers."""
    assert host.file("/etc/ufw/ufw.conf").contains("^ENABLED=yes")
    assert host.service("ufw").is_enabled


def test_firewall_rules_are_the_declared(declared: DeclaredHost, firewall: Settings, view: HostView) -> None:
    """Exactly the declared rules: one too many is as wrong as one too few."""
    lines = view.ufw()["added"].splitlines()
    found = sorted(line.partition(" comment ")[0] for line in lines if line.startswith("ufw "))
    assert found == sorted(_rules(firewall, declared.ssh_port))


def _rules(settings: Settings, ssh_port: int) -> set[str]:
    ssh_from = settings.firewall.ssh_from
    wanted = {(ssh_port, "tcp", source) for source in (["any"] if "any" in ssh_from else ssh_from)}
    wanted |= {(port, "tcp", "any") for port in settings.public_ports()}
    wanted |= {(rule.port, rule.protocol, rule.source) for rule in settings.firewall.allow}
    return {_rule(*one) for one in wanted} | _who_may_ask(settings)


def _who_may_ask(settings: Settings) -> set[str]:
    mine = settings.monitoring
    if mine is None:
        return set()
    return {
        f"ufw allow from {asking} to {mine.listen} port {port} proto tcp"
        for asking in mine.asked_by
        for port in EXPORTER_PORTS
    }


def _rule(port: int, protocol: str, source: str) -> str:
    if source == "any":
        return f"ufw allow {port}/{protocol}"
    network = ipaddress.ip_network(source)
    shown = network.network_address if network.num_addresses == 1 else network
    return f"ufw allow from {shown} to any port {port} proto {protocol}"


@pytest.mark.only("public")
def test_public_port_answers(declared: DeclaredHost, app: App, service: Service, view: HostView) -> None:
    """A public service can be reached from this machine."""
    assert service.port is not None
    assert view.answers(service.port) == "open"


@pytest.mark.only("private")
def test_private_port_is_closed(declared: DeclaredHost, app: App, service: Service, view: HostView) -> None:
    """A service that is not public cannot be reached from this machine."""
    assert service.port is not None
    if service.port in {rule.port for rule in declared.settings.firewall.allow}:
        pytest.skip(f"firewall.allow opens port {service.port}")
    assert view.answers(service.port) != "open"


def test_database_port_is_closed(declared: DeclaredHost, settings: Settings, view: HostView) -> None:
    """The database server cannot be reached from this machine."""
    port = settings.postgresql.port
    if port in {rule.port for rule in settings.firewall.allow}:
        pytest.skip(f"firewall.allow opens port {port}")
    assert view.answers(port) != "open"


def test_nothing_undeclared_listens(declared: DeclaredHost, settings: Settings, view: HostView) -> None:
    """No process listens for other machines on a port that was not declared, firewall or not."""
    allowed = {("tcp", declared.ssh_port), *OF_THE_MACHINE}
    allowed |= {("tcp", port) for port in settings.public_ports()}
    allowed |= {(rule.protocol, rule.port) for rule in settings.firewall.allow}
    if any(not _is_loopback(address) for address in settings.postgresql.listen_addresses):
        allowed.add(("tcp", settings.postgresql.port))
    mine = settings.monitoring
    asked = {(mine.listen, port) for port in EXPORTER_PORTS} if mine is not None else set()
    found = [
        f"{who or 'the kernel'} listens on {protocol} {address} port {port}"
        for protocol, address, port, who in view.listeners()
        if not _is_loopback(address) and (protocol, port) not in allowed and (address, port) not in asked
    ]
    assert not found


def _is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    if address == "*":
        return False
    return ipaddress.ip_address(address).is_loopback


@pytest.mark.only("port")
def test_service_holds_its_port(declared: DeclaredHost, app: App, service: Service, view: HostView) -> None:
    """The declared port is held by the service's own process, on loopback alone unless it is public."""
    pid = view.processes(app)["services"][service.key]["pid"]
    mine = [
        (address, who)
        for protocol, address, port, who in view.listeners()
        if protocol == "tcp" and port == service.port
    ]
    assert mine, f"nothing listens on port {service.port}"
    assert all(f"pid={pid}," in who for _, who in mine)
    assert service.public or all(_is_loopback(address) for address, _ in mine)
