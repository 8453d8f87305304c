"""What the tests of alerts run on a host: who hears of them, what makes them fire, and a wait for both."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_string
from email.policy import default
from pathlib import Path
from typing import Any

from lab import cgroups, lifecycle
from tests.lab.playbook import LabHost, shell

# The clock is the machine's, which other tests use too.
OF_THE_MACHINE = {"ClockWrong"}
# What node exporter sees of the machine instead of the host, unless the host has measurements of its own.
OF_THE_HOST = {"CpuHigh", "MemoryLow", "SwapUsed"}
OWN = "/run/systemd/system/hostwright-node.service.d"
# A tenth of it is more than the pages of files that the host needs all the time.
MEMORY = 2560 << 20
SWAP = "/swapfile"
PSQL = "cd / && runuser -u postgres -- psql -Xqv ON_ERROR_STOP=1"
# Whoever is told of alerts: it writes down what it hears, and where.
EAR = """
import http.server
class Ear(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        said = self.rfile.read(int(self.headers["Content-Length"])).decode().strip()
        with open("/root/heard", "a") as file:
            file.write(f"{self.path} {said}\\n")
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass  # the journal is looked at for what this would say
http.server.HTTPServer(("127.0.0.1", 9999), Ear).serve_forever()
"""
# A mail server on this host; like a real one's, its certificate is an authority's that the host trusts.
MAIL = """
apt-get -qq install -y --no-install-recommends python3-aiosmtpd >/dev/null
cd /root/mail
key="-nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1"
openssl req -x509 $key -keyout ca.key -out ca.pem -days 2 -subj "/CN=Authority of a test"
openssl req $key -keyout mail.key -out mail.csr -subj /CN=mail.test
echo subjectAltName=DNS:mail.test >ext
openssl x509 -req -in mail.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out mail.pem -days 2 -extfile ext
cp ca.pem /usr/local/share/ca-certificates/of-a-test.crt
update-ca-certificates
echo 127.0.0.1 mail.test >>/etc/hosts
set -- 5587 mail.pem mail.key ops@example.com password
systemd-run --quiet --unit=mail --working-directory=/root/mail -- python3 server.py "$@"
"""
# Waits until some alerts have all been seen "firing", or are all "over"; prints which of them lack.
WAIT = """
import json, sys, time, urllib.request
state, seconds, names = sys.argv[1], float(sys.argv[2]), set(sys.argv[3:])
began, seen = time.monotonic(), set()
while True:
    try:
        with urllib.request.urlopen("http://127.0.0.1:9090/api/v1/alerts", timeout=20) as answer:
            found = json.load(answer)["data"]["alerts"]
    except OSError:
        # On a busy machine it may be late.
        if time.monotonic() > began + seconds:
            raise
        continue
    # What is about to fire counts as not over.
    firing = {one["labels"]["alertname"] for one in found if state == "over" or one["state"] == "firing"}
    seen |= firing
    lack = names - seen if state == "firing" else names & firing
    if not lack or time.monotonic() > began + seconds:
        print(json.dumps({"lack": sorted(lack), "firing": sorted(firing)}))
        break
    time.sleep(0.5)
"""
# Prints which alerts fired since Prometheus began.
FIRED = """
import json, urllib.parse, urllib.request
asked = urllib.parse.urlencode(
    {"query": 'count by (alertname) (count_over_time(ALERTS{alertstate="firing"}[1d]))'}
)
with urllib.request.urlopen(f"http://127.0.0.1:9090/api/v1/query?{asked}", timeout=5) as answer:
    print(json.dumps([one["metric"]["alertname"] for one in json.load(answer)["data"]["result"]]))
"""
# Holds connections open: a login by the local socket, as PostgreSQL's protocol has it.
CONNECT = """
import socket, struct, sys, time
body = struct.pack("!i", 196608) + b"user\\0postgres\\0database\\0postgres\\0\\0"
held = []
for _ in range(int(sys.argv[1])):
    one = socket.socket(socket.AF_UNIX)
    one.connect("/run/postgresql/.s.PGSQL.5432")
    one.sendall(struct.pack("!i", len(body) + 4) + body)
    held.append(one)
time.sleep(float(sys.argv[2]))
"""
# Makes what an app always does unusual.
UNUSUAL = """
import json, os, time
path = "/var/lib/hostwright/health/rec_io.baseline.json"
while not os.path.exists(path):
    time.sleep(0.2)
with open(path) as file:
    known = json.load(file)
known["metrics"]["log_lines"] = {"median": 2e12, "low": 1e12, "high": 3e12, "of": 3}
with open(path + ".new", "w") as file:
    json.dump(known, file)
os.rename(path + ".new", path)
"""
# Holds what the app reads when it recovers, until it waits for it, and a second longer.
HOLD = """
DO $$ BEGIN
  LOCK TABLE portfolio_positions IN ACCESS EXCLUSIVE MODE;
  LOOP
    PERFORM pg_sleep(0.1);
    EXIT WHEN EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'portfolio_positions'::regclass);
  END LOOP;
  PERFORM pg_sleep(1);
END $$
"""
# 1.1 GB; vacuum, which comes later, writes to the catalog.
GROW = """
CREATE UNLOGGED TABLE grown (bytes text) WITH (autovacuum_enabled = off)
ALTER TABLE grown ALTER bytes SET STORAGE PLAIN
INSERT INTO grown SELECT repeat('x', 8000) FROM generate_series(1, 135000)
"""


def wait(host: LabHost, state: str, seconds: float, *names: str) -> None:
    said = json.loads(
        shell(host, f"python3 - {state} {seconds} {' '.join(names)}", stdin=WAIT, timeout=seconds + 30)
    )
    assert said["lack"] == [], f"{said['lack']} not {state} after {seconds} s; firing: {said['firing']}"


def firing(host: LabHost) -> set[str]:
    return set(json.loads(shell(host, "python3 - over 0", stdin=WAIT))["firing"])


def fired(host: LabHost) -> set[str]:
    """Return which alerts Prometheus itself remembers to have fired, as long as it is there."""
    return set(json.loads(shell(host, "python3 -", stdin=FIRED)))


def _send(host: LabHost, *programs: str) -> None:
    for one in programs:
        shell(host, f"cat >/root/{one}", stdin=Path(__file__).with_name(one).read_text())


def own_measurements(host: LabHost) -> None:
    """Have node exporter, which is not there yet, see the CPU time and MEMORY of this host alone."""
    _send(host, "own_cpu.py", "own_memory.py")
    shell(
        host,
        f"""
    systemd-run --quiet --unit=own_cpu -- python3 /root/own_cpu.py /run/own-stat
    systemd-run --quiet --unit=own_memory -- python3 /root/own_memory.py /run/own-meminfo {MEMORY} {SWAP}
    mkdir -p {OWN}
    echo "[Service]" >{OWN}/own.conf
    echo BindReadOnlyPaths=/run/own-stat:/proc/stat /run/own-meminfo:/proc/meminfo >>{OWN}/own.conf
    """,
    )


@contextmanager
def memory_eaten(host: LabHost) -> Iterator[None]:
    """Leave hardly any memory and swap meanwhile to a host that has MEMORY."""
    _send(host, "eat_memory.py")
    # What is swapped is what asks for it: services whose pages come and go would take the time of all hosts.
    for top in cgroups.memory_hierarchies():
        (top / lifecycle.find(host.name).id / "memory.swappiness").write_text("0")
    # Its own swap comes first: to the kernel, all hosts' are one.
    shell(host, f"swapoff {SWAP} && swapon --priority 100 {SWAP}")
    shell(host, f"systemd-run --quiet --unit=eat_memory -- python3 /root/eat_memory.py {MEMORY} {SWAP}")
    try:
        yield
    finally:
        shell(host, f"systemctl stop eat_memory && swapoff {SWAP} && swapon {SWAP}")


def database_grown(host: LabHost, database: str) -> None:
    """Make a database that was small for a day, and write 1.1 GB to it."""
    _send(host, "day_before.py")
    shell(host, f"{PSQL} -c 'CREATE DATABASE {database}'")
    shell(host, f"python3 /root/day_before.py {database}", timeout=90)
    for words in GROW.strip().splitlines():
        shell(host, f"{PSQL} -d {database}", stdin=words, timeout=120)


def recovery_slowed(host: LabHost) -> None:
    """Kill portfolio_manager while something else holds the rows that it has to load."""
    kill = "systemctl kill --signal KILL portfolio_manager.service"
    shell(host, f"{kill} && {PSQL} -d portfolio_manager", stdin=HOLD)


def take_mail(host: LabHost, password: str) -> None:
    """Let a mail server on this host, mail.test, take mail from ops@example.com with this password."""
    _send(host, "mail_server.py")
    shell(host, "mkdir /root/mail && mv /root/mail_server.py /root/mail/server.py")
    shell(host, "cat >/root/mail/password", stdin=password)
    shell(host, f"exec 2>&1; set -e; {MAIL}", timeout=180)


def mails(host: LabHost) -> list[tuple[dict[str, Any], str]]:
    """Return of each mail who sent it to whom and how, and its subject."""
    lines = [json.loads(line) for line in shell(host, "cat /root/mails").splitlines()]
    parsed = ((one, message_from_string(one["content"], policy=default)) for one in lines)
    return [(one, " ".join(str(message["Subject"]).split())) for one, message in parsed]
