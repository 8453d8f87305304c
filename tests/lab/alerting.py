"""What the tests of alerts run on a host: who hears of them, what makes them fire, and a wait for both."""

from __future__ import annotations

import json
from email import message_from_string
from email.policy import default
from pathlib import Path
from typing import Any

from tests.lab import own_cpu
from tests.lab.playbook import LabHost, shell

# The clock and the memory are the machine's, which other tests use too.
OF_THE_MACHINE = {"ClockWrong", "MemoryLow", "SwapUsed"}
OWN_CPU = "/run/systemd/system/hostwright-node.service.d"
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
    with urllib.request.urlopen("http://127.0.0.1:9090/api/v1/alerts", timeout=5) as answer:
        found = json.load(answer)["data"]["alerts"]
    # What is about to fire counts as not over.
    firing = {one["labels"]["alertname"] for one in found if state == "over" or one["state"] == "firing"}
    seen |= firing
    lack = names - seen if state == "firing" else names & firing
    if not lack or time.monotonic() > began + seconds:
        print(json.dumps({"lack": sorted(lack), "firing": sorted(firing)}))
        break
    time.sleep(0.5)
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


def wait(host: LabHost, state: str, seconds: float, *names: str) -> None:
    said = json.loads(
        shell(host, f"python3 - {state} {seconds} {' '.join(names)}", stdin=WAIT, timeout=seconds + 30)
    )
    assert said["lack"] == [], f"{said['lack']} not {state} after {seconds} s; firing: {said['firing']}"


def firing(host: LabHost) -> set[str]:
    return set(json.loads(shell(host, "python3 - over 0", stdin=WAIT))["firing"])


def own_cpu_time(host: LabHost) -> None:
    """Have node exporter, which is not there yet, see the CPU time of this host alone."""
    shell(host, "cat >/root/own_cpu.py", stdin=Path(own_cpu.__file__).read_text())
    shell(
        host,
        f"""
    systemd-run --quiet --unit=own_cpu -- python3 /root/own_cpu.py /run/own-stat
    mkdir -p {OWN_CPU}
    printf "[Service]\\nBindReadOnlyPaths=/run/own-stat:/proc/stat\\n" >{OWN_CPU}/own.conf
    """,
    )


def take_mail(host: LabHost, password: str) -> None:
    """Let a mail server on this host, mail.test, take mail from ops@example.com with this password."""
    program = Path(__file__).with_name("mail_server.py").read_text()
    shell(host, "mkdir /root/mail && cat >/root/mail/server.py", stdin=program)
    shell(host, "cat >/root/mail/password", stdin=password)
    shell(host, f"exec 2>&1; set -e; {MAIL}", timeout=180)


def mails(host: LabHost) -> list[tuple[dict[str, Any], str]]:
    """Return of each mail who sent it to whom and how, and its subject."""
    lines = [json.loads(line) for line in shell(host, "cat /root/mails").splitlines()]
    parsed = ((one, message_from_string(one["content"], policy=default)) for one in lines)
    return [(one, " ".join(str(message["Subject"]).split())) for one, message in parsed]
