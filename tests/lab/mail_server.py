# Takes mail on a test host, by STARTTLS and with a password alone.
# usage: mail_server.py PORT CERTIFICATE KEY NAME PASSWORD_FILE
# mypy: ignore-errors
import json
import ssl
import sys
import time
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

MAILS = Path("/root/mails")
port, certificate, key, name, password_file = sys.argv[1:]


class Taken:
    async def handle_DATA(self, _server, session, envelope):  # noqa: N802
        about = {
            "from": envelope.mail_from, "to": envelope.rcpt_tos, "login": session.auth_data.login.decode(),
            "cipher": session.ssl["cipher"][0] if isinstance(session.ssl, dict) else str(session.ssl),
            "content": envelope.content.decode(),
        }  # fmt: skip
        with MAILS.open("a") as file:
            file.write(json.dumps(about) + "\n")
        return "250 taken"


def known(_server, _session, _envelope, _mechanism, given):
    right = given.login == name.encode() and given.password == Path(password_file).read_bytes().strip()
    return AuthResult(success=right, auth_data=given)


context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(certificate, key)
controller = Controller(
    Taken(), hostname="127.0.0.1", port=int(port), tls_context=context, require_starttls=True,
    authenticator=known, auth_required=True,
    # Its words for LOGIN are those of few; mail servers say "Username:", which Alertmanager waits for.
    auth_exclude_mechanism=["LOGIN"],
)  # fmt: skip
controller.start()
while True:
    time.sleep(60)
