"""The sandbox in a process of its own, for tests, benchmarks and `--sandbox` of the command line."""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from ..errors import ConfigError
from ..operation import UsagePlan
from .consent import Registration
from .faults import Faults
from .lwa import TOKEN_PATH
from .throttle import application_plan

__all__ = ["SandboxProcess", "start_process"]

_START = 30.0  # seconds until it must be ready
_STOP = 3.0  # seconds it gets to end by itself
_ROOT = Path(__file__).parents[2]
# Not `-m`, which would look in the user's folder first: a `queue.py` there must not stand in for Python's own.
_PROGRAM = "import sys; sys.path.append(sys.argv.pop(1)); from spapi_async.cli import main; sys.exit(main())"
_READY = re.compile(r"http://([^\s/]+):(\d+)")


class SandboxProcess:
    """A running sandbox. It ends with `close()`, with the `with` block, and with this process however that ends.

    Attributes:
        endpoint: As in `http://127.0.0.1:41573`, for `endpoint=` of the client.
        lwa_endpoint: The URL of its token endpoint, for `lwa_endpoint=` of the client.
        pid: The id of its process.
    """

    def __init__(self, process: subprocess.Popen[str], host: str, port: int) -> None:
        self._process = process
        self._address = host, port
        self.endpoint = f"http://{host}:{port}"
        self.lwa_endpoint = self.endpoint + TOKEN_PATH
        self.pid = process.pid
        self._finalizer = weakref.finalize(self, _end, process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def messages(self) -> list[dict[str, Any]]:
        """List what buyers received, solicitations too; see `state.Message`."""
        found: list[dict[str, Any]] = self._ask("GET", "messages")
        return found

    def calls(self) -> list[dict[str, Any]]:
        """List the last 10,000 calls, those under way too, with what befell them and when; see `state.Call`."""
        found: list[dict[str, Any]] = self._ask("GET", "calls")
        return found

    def requests(self) -> dict[str, Any]:
        """Tell what was called; see `Sandbox.requests`."""
        found: dict[str, Any] = self._ask("GET", "requests")
        return found

    def reset(self) -> None:
        """Forget what was called, sent and changed, and begin anew; see `Sandbox.reset`."""
        self._ask("POST", "reset")

    def set_plan(self, name: str, plan: UsagePlan, *, seller: str | None = None) -> None:
        """Enforce another usage plan from now on; see `Sandbox.set_plan`."""
        self._change("plans", name, seller, rate=plan.rate, burst=plan.burst)

    def set_tokens(self, name: str, tokens: float, *, seller: str | None = None) -> None:
        """Let buckets hold so many tokens; see `Sandbox.set_tokens`."""
        self._change("tokens", name, seller, tokens=tokens)

    def eat(self, name: str, rate: float, *, seller: str | None = None) -> None:
        """Let an unseen consumer use each bucket too; see `Sandbox.eat`."""
        self._change("eat", name, seller, rate=rate)

    def set_application_rate(self, name: str, rate: float | None) -> None:
        """Enforce another limit for all selling partners together; see `Sandbox.set_application_rate`."""
        application_plan(rate)  # JSON has no infinity, and would make no limit of it
        self._ask("POST", "application-rates", {"operation": name, "rate": rate})

    def revoke(self, seller: str | None = None, *, refresh_tokens: bool = False) -> int:
        """Let the tokens that were given out so far open nothing any more; see `Sandbox.revoke`."""
        answer: dict[str, int] = self._ask("POST", "revoke", {"seller": seller, "refresh_tokens": refresh_tokens})
        return answer["revoked"]

    def fail_lwa(self, seconds: float) -> None:
        """Let the token endpoint fail for so many seconds from now; see `Sandbox.fail_lwa`."""
        self._ask("POST", "lwa", {"down": seconds})

    def set_client_secret(self, client_id: str, secret: str) -> None:
        """Let an application have this client secret from now on; see `Sandbox.set_client_secret`."""
        self._ask("POST", "secret", {"client_id": client_id, "secret": secret})

    def set_delivery(self, order_id: str, delivered: datetime) -> None:
        """Say when an order was delivered; see `Sandbox.set_delivery`."""
        self._ask("POST", "deliveries", {"order_id": order_id, "delivered": delivered.isoformat()})

    def kill(self) -> None:
        """End it at once, as a crash would; what it remembered is gone."""
        self._process.kill()
        self.close()

    def close(self) -> None:
        """End it and wait for its end. Again is harmless."""
        self._finalizer()

    def _change(self, page: str, name: str, seller: str | None, **figures: float) -> None:
        self._ask("POST", page, {"operation": name, "seller": seller, **figures})

    def _ask(self, method: str, page: str, value: Any = None) -> Any:
        # http.client, unlike urllib, reads no proxy from the environment.
        connection = http.client.HTTPConnection(*self._address, timeout=_START)
        try:
            connection.request(method, "/_sandbox/" + page, None if value is None else orjson.dumps(value))
            response = connection.getresponse()
            answer = orjson.loads(response.read())
        finally:
            connection.close()
        if response.status >= 400:
            raise ConfigError(answer["errors"][0]["message"])
        return answer


def _end(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()  # it reads the end of its standard input and stops
    try:
        process.wait(_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()


def start_process(
    *,
    port: int = 0,
    plans: Mapping[str, UsagePlan] | None = None,
    tokens: Mapping[str, float] | None = None,
    eat: Mapping[str, float] | None = None,
    application_rates: Mapping[str, float | None] | None = None,
    models: str | Path | None = None,
    applications: Mapping[str, str] | None = None,
    registrations: Iterable[Registration] | None = None,
    aws: Mapping[str, str] | None = None,
    token_lifetime: float | None = None,
    rate_header: bool = True,
    faults: Faults | None = None,
    latency: float = 0.0,
    jitter: float = 0.0,
) -> SandboxProcess:
    """Start the sandbox in a process of its own on the loopback address, and wait until it serves.

    Args:
        port: 0 for any free one.
        plans: As of `Sandbox`, like all that follow.
        tokens: What buckets hold at their first call.
        eat: Tokens/s that an unseen consumer asks of each bucket.
        application_rates: Requests/s for all selling partners of an application together; None for no limit.
        models: A folder of Amazon's Swagger models.
        applications: Client id -> client secret.
        registrations: The applications that selling partners can consent to.
        aws: Access key id -> secret access key, of which one must have signed each request.
        token_lifetime: Seconds; None for 3600.
        rate_header: Whether replies carry `x-amzn-RateLimit-Limit`.
        faults: Calls that fail on purpose.
        latency: Seconds a round trip takes at least, half of it on each way.
        jitter: Seconds that each way takes longer at most.

    Raises:
        ConfigError: It did not start; the message is its own.
    """
    command = [sys.executable, "-P", "-c", _PROGRAM, str(_ROOT), "sandbox", "--port", str(port), "--child"]
    for name, plan in (plans or {}).items():
        command += ["--plan", f"{name}={plan.rate!r}/{plan.burst!r}"]
    for option, amounts in (("--tokens", tokens), ("--eat", eat)):
        for name, figure in (amounts or {}).items():
            command += [option, f"{name}={figure!r}"]
    for name, rate in (application_rates or {}).items():
        command += ["--application-rate", f"{name}={'none' if rate is None else repr(rate)}"]
    for client_id, secret in (applications or {}).items():
        command += ["--application", f"{client_id}={secret}"]
    for registration in registrations or ():
        command += ["--registration", str(registration)]
    for key_id, secret in (aws or {}).items():
        command += ["--aws", f"{key_id}={secret}"]
    command += ["--models", str(models)] if models is not None else []
    command += ["--token-lifetime", repr(token_lifetime)] if token_lifetime is not None else []
    command += [] if rate_header else ["--no-rate-header"]
    command += ["--latency", repr(latency), "--jitter", repr(jitter)]
    command += faults.arguments() if faults is not None else []
    with tempfile.TemporaryFile("w+") as errors:
        # Without a controlling group of its own, Ctrl-C in a terminal would reach it before it can ignore it.
        group = {"process_group": 0} if os.name == "posix" else {}
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            **group,  # type: ignore[call-overload]
        )
        timer = threading.Timer(_START, process.kill)
        timer.start()
        try:
            ready = _READY.search(process.stdout.readline())
        finally:
            timer.cancel()
        if ready is None:
            _end(process)
            errors.seek(0)
            lines = errors.read().strip().splitlines() or [f"no answer within {_START:g} s"]
            raise ConfigError("the sandbox did not start: " + lines[-1].removeprefix("spapi-async: "))
    return SandboxProcess(process, ready[1], int(ready[2]))
