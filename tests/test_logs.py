"""Events as log lines."""

import logging
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from spapi_async.events import (
    Attempted,
    ClientSecretExpires,
    Event,
    RateLearned,
    Retried,
    RowSettled,
    Throttled,
    TokenFailed,
    TokenRefreshed,
    TokenStoreFailed,
    Waited,
)
from spapi_async.logs import log

NAMED = {"operation": "orders_v0.get_orders"}

CASES: list[tuple[Event, int, str]] = [
    (
        Retried(attempt=1, delay=0.5, reason="ConnectError: refused", **NAMED),
        logging.WARNING,
        "orders_v0.get_orders: attempt 1 failed (ConnectError: refused), next one in 0.50 s",
    ),
    (
        Throttled(wait=1.5, request_id="R1", **NAMED),
        logging.INFO,
        "orders_v0.get_orders: throttled (429, request id R1), its turn comes again in 1.50 s",
    ),
    (RateLearned(old=5.0, new=2.0, **NAMED), logging.INFO, "orders_v0.get_orders: Amazon's rate is 2/s, not 5/s"),
    (
        TokenRefreshed(kind="access", expires_in=3600.0, elapsed=0.2),
        logging.INFO,
        "fetched a new access token in 0.20 s, valid for 3600 s",
    ),
    (
        TokenFailed(kind="access", reason="invalid_grant: revoked", is_permanent=True, usable_for=0.0),
        logging.WARNING,
        "no new access token (invalid_grant: revoked); it is not asked for again",
    ),
    (
        TokenFailed(kind="restricted", reason="busy", is_permanent=False, usable_for=90.0),
        logging.WARNING,
        "no new restricted token (busy), the old one can be used for 90 s",
    ),
    (
        TokenStoreFailed(action="get", reason="ConnectionError"),
        logging.WARNING,
        "the token store failed to get: ConnectionError",
    ),
    (
        ClientSecretExpires(expires_at=datetime(2026, 7, 31, tzinfo=UTC), days_left=20.96),
        logging.WARNING,
        "the client secret expires at 2026-07-31T00:00:00+00:00, in 21.0 days: rotate it",
    ),
    (
        Waited(seconds=2.0, queue_length=3, **NAMED),
        logging.DEBUG,
        "orders_v0.get_orders: waited 2.000 s for its usage plan",
    ),
    (
        Attempted(attempt=2, status=200, elapsed=0.1, request_id="R2", **NAMED),
        logging.DEBUG,
        "orders_v0.get_orders: attempt 2: 200 in 0.100 s (request id R2)",
    ),
    (
        RowSettled(kind="confirmOrderDetails", number=7, state="SENT", reason="", request_id="R3"),
        logging.DEBUG,
        "confirmOrderDetails: line 7: SENT ",
    ),
]


@pytest.mark.parametrize(("event", "level", "line"), CASES, ids=[type(case[0]).__name__ for case in CASES])
def test_each_event_has_its_line(caplog: pytest.LogCaptureFixture, event: Event, level: int, line: str) -> None:
    """What goes wrong is a warning; a 429, a learned rate and a new token are information, the rest for debugging."""
    caplog.set_level(logging.DEBUG, logger="spapi_async")
    log(event)
    assert caplog.record_tuples == [("spapi_async", level, line)]


def test_nothing_configures_logging() -> None:
    """The library's logger has no handler and no level of its own: both are the user's."""
    # In a process of its own: the command line's tests have their program's logging in this one.
    code = "import logging, spapi_async.client; own = logging.getLogger('spapi_async'); "
    code += "print(own.handlers, own.level, own.propagate)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.split() == ["[]", "0", "True"]
