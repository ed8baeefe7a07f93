from __future__ import annotations

import base64
import hashlib
from typing import Any

import httpx
import pytest

from spapi_async.operation import UsagePlan
from spapi_async.sandbox import Sandbox
from spapi_async.sandbox.state import Attachment

pytestmark = pytest.mark.anyio

US = "ATVPDKIKX0DER"
MESSAGE = "messaging/v1/orders/902-1845936-5435065/messages/confirmCustomizationDetails"
DATA = b"%PDF the drawing"
MD5 = base64.b64encode(hashlib.md5(DATA).digest()).decode()


async def _destination(caller: Any, md5: str = MD5) -> Any:
    path = f"/uploads/2020-11-01/uploadDestinations/{MESSAGE}"
    reply = await caller.post(path, marketplaceIds=US, contentMD5=md5)
    assert reply.status_code == 201
    return reply.json()["payload"]


async def _put(
    caller: Any, destination: Any, data: bytes = DATA, method: str = "PUT", **headers: str
) -> httpx.Response:
    return await caller.http.request(method, destination["url"], content=data, headers=destination["headers"] | headers)


async def _send(caller: Any, destination: Any, path: str = "/" + MESSAGE) -> httpx.Response:
    attachment = {"uploadDestinationId": destination["uploadDestinationId"], "fileName": "drawing.pdf"}
    return await caller.post(path, {"text": "Like this?", "attachments": [attachment]}, marketplaceIds=US)


async def test_an_attachment_from_upload_to_buyer(connect: Any) -> None:
    """The bytes go to the destination with its headers and no token; the message then names it."""
    app = Sandbox()
    async with connect(app) as caller:
        destination = await _destination(caller)
        assert (await _put(caller, destination)).status_code == 200
        assert (await _send(caller, destination)).status_code == 201
    [message] = app.state.messages
    assert message.attachments == (Attachment(file_name="drawing.pdf", content_md5=MD5, size=len(DATA)),)


async def test_an_attachment_that_is_not_there(connect: Any) -> None:
    """Before the bytes have arrived, for another template or by another seller, an attachment does not exist."""
    async with connect(Sandbox(plans={"*": UsagePlan(1000, 1000)})) as caller:
        destination = await _destination(caller)
        assert (await _send(caller, destination)).status_code == 400
        await _put(caller, destination)
        other = MESSAGE.replace("confirmCustomizationDetails", "digitalAccessKey")
        assert (await _send(caller, destination, "/" + other)).status_code == 400
        await caller.log_in("Atzr|SELLER2")
        reply = await _send(caller, destination)
        assert (reply.status_code, reply.json()["errors"][0]["code"]) == (400, "InvalidInput")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"method": "POST"}, 405, "MethodNotAllowed"),
        ({"data": b"something else"}, 400, "BadDigest"),
        ({"Content-MD5": "another"}, 403, "SignatureDoesNotMatch"),
        ({"x-amz-server-side-encryption": "AES256"}, 403, "SignatureDoesNotMatch"),
        ({"x-amz-access-token": "Atza|x"}, 403, "AccessDenied"),
    ],
)
async def test_a_wrong_upload(connect: Any, changes: Any, status: int, code: str) -> None:
    """The storage answers in XML, as Amazon's does: 405 for another verb, 403 for changed headers, 400 for the sum."""
    async with connect(Sandbox()) as caller:
        reply = await _put(caller, await _destination(caller), **changes)
    assert (reply.status_code, reply.headers["content-type"]) == (status, "application/xml")
    assert f"<Code>{code}</Code>" in reply.text


async def test_a_hexadecimal_sum(connect: Any) -> None:
    """An MD5 in hexadecimal is taken at first and refused as no digest when the bytes come."""
    async with connect(Sandbox()) as caller:
        reply = await _put(caller, await _destination(caller, hashlib.md5(DATA).hexdigest()))
    assert (reply.status_code, "InvalidDigest" in reply.text) == (400, True)


async def test_a_changed_or_old_url(connect: Any, clock: Any) -> None:
    """The signature covers the path as it was given, encoded slash included; the URL works for 900 seconds."""
    async with connect(Sandbox(clock=clock)) as caller:
        destination = await _destination(caller)
        for other in ["/data", "%2Fother"]:
            changed = destination | {"url": destination["url"].replace("%2Fdata", other)}
            assert (await _put(caller, changed)).status_code == 403
        clock.now += 900
        reply = await _put(caller, destination)
        assert (reply.status_code, "Request has expired" in reply.text) == (403, True)


async def test_attachments_have_types_and_a_size(connect: Any) -> None:
    """A file name needs an extension that Amazon takes, and all attachments together must be small enough."""
    app = Sandbox(plans={"*": UsagePlan(1000, 1000)})
    async with connect(app) as caller:
        destination = await _destination(caller)
        await _put(caller, destination)
        attachment = {"uploadDestinationId": destination["uploadDestinationId"], "fileName": "drawing.exe"}
        reply = await caller.post("/" + MESSAGE, {"text": "?", "attachments": [attachment]}, marketplaceIds=US)
        assert (reply.status_code, "extension" in reply.text) == (400, True)
        app.state.uploads[destination["uploadDestinationId"]].size = 11 * 1024 * 1024
        reply = await _send(caller, destination)
        assert (reply.status_code, "too large" in reply.text) == (400, True)
    assert not app.state.messages
