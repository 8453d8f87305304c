# Sent in front of each program of this directory; runs as root on whatever Python 3.10 or later the host has.
# mypy: ignore-errors
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
import xmlrpc.client

ABOUT = json.loads(sys.argv[1])


class UnixConnection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(10)
        self.sock.connect(self.host_path)


class UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path):
        super().__init__()
        self.path = path

    def make_connection(self, _host):
        connection = UnixConnection("supervisor")
        connection.host_path = self.path
        return connection


def supervisor(app):
    """Return what the app's supervisor says of its services, by name."""
    path = f"/run/{app}/supervisor.sock"
    try:
        proxy = xmlrpc.client.ServerProxy("http://supervisor", transport=UnixTransport(path))
        return {info["name"]: info for info in proxy.supervisor.getAllProcessInfo()}
    except (OSError, xmlrpc.client.Error) as error:
        sys.exit(f"the supervisor of {app} does not answer on {path}: {error}")


def services(about):
    """Return state, process and logs of the app's services by name, whoever runs them; ABOUT: app, units."""
    if about["units"] is None:
        return {name: {**info, "since": info["start"]} for name, info in supervisor(about["app"]).items()}
    return {name: of_unit(unit) for name, unit in about["units"].items()}


def of_unit(unit):
    """Return of a service that is a unit what a supervisor would say of it."""
    wanted = ("ActiveState", "SubState", "MainPID", "Result", "ExecMainStartTimestampMonotonic")
    found = show(unit, *wanted)
    well = found["ActiveState"] == "active" and found["SubState"] == "running"
    since = int(found["ExecMainStartTimestampMonotonic"] or 0)
    return {
        "statename": "RUNNING" if well else found["SubState"].upper(),
        "pid": int(found["MainPID"]),
        "since": since,
        "start": time.time() - (time.clock_gettime(time.CLOCK_MONOTONIC) - since / 1e6),
        "spawnerr": "",
        "description": f"{found['ActiveState']}, {found['Result']}",
        "stdout_logfile": None,
        "stderr_logfile": None,
    }


def show(unit, *properties):
    """Return properties of a systemd unit."""
    words = ["systemctl", "show", "-p", ",".join(properties), unit]
    text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def env_file(path):
    """Read an environment file as systemd does; a line that is none of its kinds ends the program."""
    values = {}
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\n")
            if not line.strip() or line.lstrip()[0] in "#;":
                continue
            name, separator, raw = line.partition("=")
            if not separator or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                sys.exit(f"{path}, line {number} is not NAME=VALUE")
            if name in values:
                sys.exit(f"{path}, line {number}: {name} is there twice")
            values[name] = unquoted(raw)
    return values


def unquoted(raw):
    if len(raw) > 1 and raw[0] == raw[-1] == "'":
        return raw[1:-1]
    if len(raw) > 1 and raw[0] == raw[-1] == '"':
        return re.sub(r'\\([\\"$`])', r"\1", raw[1:-1])
    return raw


def secret_file(directory, name):
    with open(os.path.join(directory, name), encoding="utf-8") as file:
        return file.read().removesuffix("\n")


def answer(value):
    print(json.dumps(value))
