"""Upload destinations: the two steps, and what is done when the second one fails."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import attrs
import httpx
import orjson
import pytest

from spapi_async import SellingPartner
from spapi_async.errors import (
    CallError,
    ClientClosedError,
    ConnectionLostError,
    DecodeError,
    ReadTimeoutError,
    TransferError,
)
from spapi_async.operation import Call, Reply
from spapi_async.sandbox import Sandbox
from spapi_async.uploads import LIFETIME, Again, after, content_md5, upload

RESOURCE = "messaging/v1/orders/902-1845936-5435065/messages/invoice"
LOST = ConnectionLostError("cut", operation="transfer", had_begun=True, is_retry_safe=True)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


def refused(status: int, code: str = "") -> TransferError:
    return TransferError(status=status, code=code)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (LOST, Again.SAME_URL),
        (ReadTimeoutError("late", operation="transfer", had_begun=True), Again.SAME_URL),
        (refused(500), Again.SAME_URL),
        (refused(503, "SlowDown"), Again.SAME_URL),
        (refused(400, "RequestTimeout"), Again.SAME_URL),
        (refused(403, "AccessDenied"), Again.NEW_URL),
        (refused(403, "SignatureDoesNotMatch"), Again.NEW_URL),
        (refused(404, "NoSuchBucket"), Again.NEW_URL),
        (refused(400, "BadDigest"), Again.NOT),
        (refused(400, "InvalidDigest"), Again.NOT),
        (refused(405, "MethodNotAllowed"), Again.NOT),
        (refused(301), Again.NOT),
        (ClientClosedError("closed", operation="transfer"), Again.NOT),
    ],
    ids=str,
)
def test_what_follows_a_put_that_failed(error: CallError, expected: Again) -> None:
    """A lost one goes to the same URL again, a refused one to a new URL; one that is wrong in itself goes nowhere."""
    assert after(error) is expected


def test_the_sum_is_the_base64_of_the_digest() -> None:
    """Not of its hexadecimal digits, which Amazon takes at first and its storage refuses."""
    assert content_md5(b"") == "1B2M2Y8AsgTpgAmY7PhCfg=="


@attrs.define
class Amazon:
    """Gives destinations, and answers PUTs as told; each takes some seconds."""

    answers: list[CallError | None] = attrs.field(factory=list)
    targets: list[str] = attrs.field(factory=list)
    puts: list[str] = attrs.field(factory=list)
    waited: list[float] = attrs.field(factory=list)
    seconds: float = 0.0
    now: float = 1000.0

    async def send(self, call: Call) -> Reply:
        self.targets.append(call.target)
        number = len(self.targets)
        payload = {
            "uploadDestinationId": f"id-{number}",
            "url": f"https://s3/{number}",
            "headers": {"Content-MD5": "x"},
        }
        return Reply(status=201, headers={}, body=orjson.dumps({"payload": payload}))

    async def transfer(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b"", *, attempt: int = 1
    ) -> Reply:
        assert (method, headers, body) == ("PUT", {"Content-MD5": "x"}, b"bytes")
        self.puts.append(url)
        self.now += self.seconds
        if self.answers and (error := self.answers.pop(0)):
            raise error
        return Reply(status=200, headers={}, body=b"")

    async def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)

    async def upload(self) -> str:
        return await upload(
            self.send,
            self.transfer,
            resource=RESOURCE,
            marketplace_id="A1PA6795UKMFR9",
            md5="a+/==",
            content=lambda: content(b"bytes"),
            random=lambda: 0.5,
            clock=lambda: self.now,
            sleep=self.sleep,
        )


@asynccontextmanager
async def content(value: bytes) -> AsyncIterator[bytes]:
    yield value


@pytest.mark.anyio
async def test_two_steps_and_an_id() -> None:
    """A destination is asked for by the resource, its slashes as they are, and by the encoded sum; then one PUT."""
    amazon = Amazon()
    assert await amazon.upload() == "id-1"
    query = "marketplaceIds=A1PA6795UKMFR9&contentMD5=a%2B%2F%3D%3D"
    assert amazon.targets == [f"/uploads/2020-11-01/uploadDestinations/{RESOURCE}?{query}"]
    assert (amazon.puts, amazon.waited) == (["https://s3/1"], [])


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answers", "seconds", "puts"),
    [
        ([LOST], 1, ["1", "1"]),
        ([LOST, refused(503)], 1, ["1", "1", "1"]),
        ([LOST], LIFETIME, ["1", "2"]),
        ([refused(403, "AccessDenied")], 1, ["1", "2"]),
        ([refused(403), LOST, refused(403)], 1, ["1", "2", "2", "3"]),
    ],
    ids=str,
)
async def test_a_put_that_failed_is_made_again(
    answers: list[CallError | None], seconds: float, puts: list[str]
) -> None:
    """With the same URL while that holds, else with both steps anew, after a growing wait."""
    amazon = Amazon(answers=[*answers], seconds=seconds)
    assert await amazon.upload() == f"id-{puts[-1]}"
    assert amazon.puts == [f"https://s3/{number}" for number in puts]
    assert amazon.waited == [0.25, 0.5, 1.0][: len(puts) - 1]


@pytest.mark.anyio
@pytest.mark.parametrize("answers", [[refused(400, "BadDigest")], [LOST] * 4, [refused(403)] * 4], ids=str)
async def test_an_upload_has_an_end(answers: list[CallError | None]) -> None:
    """What is wrong in itself is raised at once, and anything after the fourth attempt."""
    amazon = Amazon(answers=[*answers])
    with pytest.raises(type(answers[0])):  # type: ignore[arg-type]
        await amazon.upload()
    assert len(amazon.puts) == len(answers)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "payload", [None, [], {}, {"uploadDestinationId": "x"}, {"uploadDestinationId": 1, "url": "s"}]
)
async def test_an_answer_that_cannot_be_read(payload: Any) -> None:
    """An answer without a destination is an error that holds nothing of it: it may have a URL in it."""

    class Odd(Amazon):
        async def send(self, call: Call) -> Reply:
            return Reply(status=201, headers={}, body=orjson.dumps({"payload": payload, "url": "https://secret"}))

    with pytest.raises(DecodeError) as caught:
        await Odd().upload()
    assert "secret" not in f"{caught.value!r}{caught.value.body!r}"


def client_of(app: Sandbox) -> SellingPartner:
    return SellingPartner(
        client_id="app",
        client_secret="secret",
        refresh_token="Atzr|SELLER1",
        endpoint="http://sandbox",
        lwa_endpoint="http://sandbox/auth/o2/token",
        transport=httpx.ASGITransport(app=app),
    )


@pytest.mark.anyio
async def test_an_expired_destination_is_made_anew_at_the_sandbox() -> None:
    """A storage that says that the URL has expired gets the bytes under a new one; the old destination stays empty."""
    times = [1000.0]
    app = Sandbox(clock=lambda: times[-1])

    @asynccontextmanager
    async def late() -> AsyncIterator[bytes]:
        if len(times) == 1:
            times.append(times[0] + LIFETIME)
        yield b"bytes"

    async with client_of(app) as sp:
        upload_id = await upload(
            sp.send,
            sp.transfer,
            resource=RESOURCE,
            marketplace_id="A1PA6795UKMFR9",
            md5=content_md5(b"bytes"),
            content=late,
            random=lambda: 0.0,
        )
    first, second = app.state.uploads.items()
    assert (first[1].size, second[1].size, second[0]) == (None, 5, upload_id)


@pytest.mark.anyio
async def test_an_upload_to_the_sandbox() -> None:
    """The client's own functions pass what the storage checks: the sum, the headers, no token."""
    app = Sandbox()
    data = b"%PDF" + bytes(100_000)
    async with client_of(app) as sp:
        upload_id = await upload(
            sp.send,
            sp.transfer,
            resource=RESOURCE,
            marketplace_id="A1PA6795UKMFR9",
            md5=content_md5(data),
            content=lambda: content(data),
            random=lambda: 0.0,
            clock=anyio.current_time,
        )
        stored = app.state.uploads[upload_id]
        assert (stored.resource, stored.size) == (RESOURCE, len(data))
        assert stored.content_md5 != hashlib.md5(data).hexdigest()
        url = f"http://sandbox/_sandbox/uploads/{upload_id}%2Fdata?X-Amz-Signature=guessed"
        with pytest.raises(TransferError) as caught:
            await sp.transfer("PUT", url, {}, b"x")
        assert (caught.value.status, caught.value.code) == (403, "SignatureDoesNotMatch")
        assert "guessed" not in repr(caught.value)
    with pytest.raises(ClientClosedError):
        await sp.transfer("PUT", "http://sandbox/x")
