"""The signature, compared byte by byte with botocore's own signer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from unittest import mock

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import example, given, strategies as st

from spapi_async.auth.sigv4 import SIGNED_HEADERS, sign
from spapi_async.operation import Operation, UsagePlan

NOW = datetime(2019, 4, 30, 12, 36, tzinfo=UTC)
KEYS = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
OPERATION = Operation(
    module="m", name="o", operation_id="o", method="GET", path="/a/{x}/b/{y}", plan=UsagePlan(1, 1), greedy={"y"}
)

# botocore leaves the User-Agent out, which proxies may change; the developer guide wants it in.
UNSIGNED = [name for name in botocore.auth.SIGNED_HEADERS_BLACKLIST if name != "user-agent"]


def by_botocore(
    method: str, target: str, headers: dict[str, str], body: bytes, token: str | None, region: str, now: datetime
) -> dict[str, str]:
    """Sign with botocore; give the headers that it added."""
    request = AWSRequest(method, f"https://{headers['Host']}{target}", dict(headers), body)
    with (
        mock.patch.object(botocore.auth, "SIGNED_HEADERS_BLACKLIST", UNSIGNED),
        mock.patch.object(botocore.auth, "get_current_datetime", return_value=now.astimezone(UTC)),
    ):
        credentials = Credentials(KEYS["access_key_id"], KEYS["secret_access_key"], token)
        botocore.auth.SigV4Auth(credentials, "execute-api", region).add_auth(request)
    return {name.lower(): value for name, value in request.headers.items() if name not in headers}


# What the wire lets through (transport/wire.py), so more than our own encoding makes.
wire_text = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#?"), max_size=12)
segments = st.one_of(wire_text, st.sampled_from(["", ".", "..", "%2F", "%2f", "%2E%2E", "%", "+", "%25", "a%20b"]))
raw_paths = st.lists(segments, max_size=6).map(lambda parts: "/" + "/".join(parts))
names = st.one_of(
    st.sampled_from(["a", "A", "a%20", "aa", "", "a-b", "~"]), wire_text.map(lambda text: text.replace("&", ""))
)
raw_queries = st.one_of(
    st.lists(st.tuples(names, st.sampled_from(["", "="]), wire_text), max_size=6).map(
        lambda parts: "&".join("".join(part) for part in parts)
    ),
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#"), max_size=30),
)
raw_targets = st.tuples(raw_paths, raw_queries).map(lambda pair: "?".join(filter(None, pair)))
our_targets = st.builds(
    lambda x, y, query: OPERATION.call({"x": x, "y": y}, query).target,
    st.text(min_size=1),
    st.text(min_size=1),
    st.lists(st.tuples(st.text(), st.text()), max_size=5),
)
header_values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E, include_characters="\t"), max_size=40)
instants = st.datetimes(
    datetime(2000, 1, 1),
    datetime(2099, 1, 1),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))]),
)


@given(
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]),
    target=st.one_of(our_targets, raw_targets),
    agent=header_values,
    access_token=header_values,
    body=st.binary(max_size=200),
    token=st.one_of(st.none(), st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1)),
    region=st.sampled_from(["us-east-1", "eu-west-1", "us-west-2"]),
    now=instants,
)
@example("GET", "/", "", "", b"", None, "us-east-1", NOW)
@example("GET", "//a//./b/../c//?b=2&a=1&a=&a&B=1&a=%20&a=+", " a  b\t c ", "Atza|x", b"", "t==", "eu-west-1", NOW)
@example("GET", "/..//..", "x", "y", b"{}", None, "us-west-2", NOW)
def test_it_is_botocores(
    method: str,
    target: str,
    agent: str,
    access_token: str,
    body: bytes,
    token: str | None,
    region: str,
    now: datetime,
) -> None:
    """For any request that the wire would send, all headers that a signature adds are those that botocore adds."""
    headers = {"Host": "sellingpartnerapi-eu.amazon.com", "User-Agent": agent, "x-amz-access-token": access_token}
    now = now.replace(microsecond=0)
    ours = sign(
        method=method, target=target, headers=headers, body=body, session_token=token, region=region, now=now, **KEYS
    )
    assert ours == by_botocore(method, target, headers, body, token, region, now)


def test_the_headers_of_the_developer_guide() -> None:
    """Signed are host, user-agent, token and date whatever their spelling, and nothing else; the date is in UTC."""
    headers = {"HOST": "h", "user-AGENT": "u", "X-Amz-Access-Token": "t", "Accept": "a", "Content-Type": "c"}
    now = datetime(2019, 5, 1, 0, 36, tzinfo=timezone(timedelta(hours=12)))
    added = sign(
        method="GET", target="/", headers=headers, body=b"", session_token=None, region="us-east-1", now=now, **KEYS
    )
    assert added["x-amz-date"] == "20190430T123600Z"
    assert added["authorization"].startswith(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20190430/us-east-1/execute-api/aws4_request, "
        "SignedHeaders=host;user-agent;x-amz-access-token;x-amz-date, Signature="
    )


def test_a_session_token_is_signed() -> None:
    """Temporary keys travel with their token, and what is signed covers it; headers that are there already give way."""
    headers = {
        "Host": "h",
        "User-Agent": "u",
        "x-amz-access-token": "t",
        "X-Amz-Security-Token": "old",
        "X-Amz-Date": "",
    }
    added = sign(
        method="GET", target="/", headers=headers, body=b"", session_token="new", region="us-east-1", now=NOW, **KEYS
    )
    assert added["x-amz-security-token"] == "new"
    assert ";".join(sorted(SIGNED_HEADERS)) in added["authorization"]


@pytest.mark.parametrize(
    "change",
    [
        {"method": "POST"},
        {"target": "/b"},
        {"target": "/a?q=1"},
        {"headers": {"Host": "other", "User-Agent": "u", "x-amz-access-token": "t"}},
        {"headers": {"Host": "h", "User-Agent": "v", "x-amz-access-token": "t"}},
        {"headers": {"Host": "h", "User-Agent": "u", "x-amz-access-token": "s"}},
        {"body": b"x"},
        {"now": NOW + timedelta(seconds=1)},
        {"region": "eu-west-1"},
        {"secret_access_key": "other"},
    ],
)
def test_all_of_a_request_counts(change: dict[str, object]) -> None:
    """Whatever changes in what is signed, or in who signs it, changes the signature."""
    request = {
        "method": "GET",
        "target": "/a",
        "headers": {"Host": "h", "User-Agent": "u", "x-amz-access-token": "t"},
        "body": b"",
        "session_token": None,
        "region": "us-east-1",
        "now": NOW,
        **KEYS,
    }
    assert sign(**request)["authorization"][-64:] != sign(**{**request, **change})["authorization"][-64:]
