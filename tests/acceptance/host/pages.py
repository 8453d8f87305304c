# Ask the app's services for their pages on the host itself. ABOUT: list of [service, port, path].
# mypy: ignore-errors
import http.client
from concurrent.futures import ThreadPoolExecutor

from tests.acceptance.host.common import ABOUT, answer


def ask(request):
    _service, port, path = request
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        reply = connection.getresponse()
        return [reply.status, reply.read(1_000_000).decode("utf-8", "replace")]
    except (OSError, http.client.HTTPException) as error:
        return [0, f"{type(error).__name__}: {error}"]
    finally:
        connection.close()


with ThreadPoolExecutor(16) as pool:
    answers = list(pool.map(ask, ABOUT))
answer([[*request, *reply] for request, reply in zip(ABOUT, answers, strict=True)])
