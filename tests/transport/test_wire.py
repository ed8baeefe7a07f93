"""One exchange: what goes out byte for byte, what comes back, and what statuses mean."""

from __future__ import annotations

import gzip
import pickle
import threading
import zlib

import anyio
import attrs
import orjson
import pytest

from spapi_async.errors import (
    ArgumentError,
    BadRequestError,
    ConfigError,
    ConnectionLostError,
    OutcomeUnknownError,
    Problem,
    QuotaExceededError,
    ServerError,
    StatusError,
    TransferError,
)
from spapi_async.operation import Timeouts

pytestmark = pytest.mark.anyio

SECRET = "Atza|a-secret"


def respond(head: str, body: bytes = b""):
    """A script that answers every request like this."""

    def script(line):
        while True:
            line.read()
            line.send(f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    return script


@pytest.mark.parametrize(
    "target",
    [
        "/a%2Fb/%20x~y!z",
        "/a+b/c%2Bd?e=f+g&h=%2B",
        "/a/../b/./c/%2e%2e/d",
        "/SKU|1?q=a|b",
        "/%e2%82%ac/%E2%82%AC",
        "/unreserved-._~AZaz09",
        "/sub!$&'()*+,;=:@?x='1'&y=[2]&z={3}",
        "/a//b///",
        "/x?a=b?c/d&empty=&bare&&",
        '/q"<>^`{}\\?"<>^`{}\\',
        "/%zz%",
        "//two",
    ],
)
async def test_the_target_is_sent_byte_for_byte(target, tools, transport, server):
    """Path and query arrive exactly as the call has them; nothing is quoted, unquoted or resolved on the way."""
    where = server()
    path, _, query = target.partition("?")
    await tools.wire(transport, where.url).exchange(attrs.evolve(tools.read.call(), path=path, query=query))
    [(head, _)] = where.requests
    assert head.split(b"\r\n")[0] == f"GET {target} HTTP/1.1".encode()


async def test_what_an_operation_encodes_arrives(tools, transport, server):
    """Values of path and query come out of the request line as they went into the call."""
    where = server()
    await tools.wire(transport, where.url).exchange(tools.read.call(query=[("a b", "ä/%+&="), ("c", "1,2")]))
    assert where.requests[0][0].startswith(b"GET /r?a%20b=%C3%A4%2F%25%2B%26%3D&c=1%2C2 HTTP/1.1\r\n")


@pytest.mark.parametrize("path", ["no-slash", "/a b", "/a\r\nX: y", "/ä", "/a#b", "/a\x7f", ""])
async def test_a_target_that_cannot_be_sent_is_refused(path, tools, transport, server):
    """A path with white space, a fragment or anything that is not ASCII is a mistake of the caller; nothing is sent."""
    where = server()
    with pytest.raises(ArgumentError, match="percent-encoded"):
        await tools.wire(transport, where.url).exchange(attrs.evolve(tools.read.call(), path=path))
    assert where.lines == []


@pytest.mark.parametrize("url", ["http://a.example/ä", "http://ä.example", "http://a.example/a b"])
async def test_a_url_that_cannot_be_sent_is_refused(url, tools, transport):
    """Endpoints, too, are sent as they are, so one that cannot be is a mistake of the set-up."""
    with pytest.raises(ConfigError, match="encode"):
        tools.wire(transport, url)
    with pytest.raises(ConfigError, match="encode"):
        await tools.wire(transport, "http://a.example").post_form(url, {}, Timeouts())


async def test_a_header_that_cannot_be_sent_is_refused_without_showing_it(tools, transport, server):
    """A line break in a header would begin another one; the error names the header and not its value."""
    where = server()
    with pytest.raises(ArgumentError, match="x-amz-access-token") as caught:
        await tools.wire(transport, where.url).exchange(
            tools.read.call(headers={"x-amz-access-token": SECRET + "\r\n"})
        )
    assert SECRET not in str(caught.value)
    assert where.lines == []


async def test_only_these_headers_are_sent_with_a_get(tools, transport, server):
    """No library adds a header of its own, and names keep their case."""
    where = server()
    await tools.wire(transport, where.url).exchange(
        tools.read.call(headers={"x-amz-access-token": SECRET, "X-Own": "1"})
    )
    assert where.requests[0][0].decode().split("\r\n")[1:] == [
        f"Host: 127.0.0.1:{where.port}",
        "User-Agent: tests/1 (Language=Python)",
        "Accept: application/json",
        "Accept-Encoding: gzip, deflate",
        f"x-amz-access-token: {SECRET}",
        "X-Own: 1",
    ]


@pytest.mark.parametrize("body", [b"", b'{"text": "hello"}'])
async def test_headers_of_a_post(body, tools, transport, server):
    """A body is announced as JSON, and a POST always tells its length."""
    where = server()
    await tools.wire(transport, where.url).exchange(tools.write.call(body=body))
    [(head, received)] = where.requests
    expected = ["Content-Type: application/json"] * bool(body) + [f"Content-Length: {len(body)}"]
    assert head.decode().split("\r\n")[5:] == expected
    assert received == body


async def test_a_call_overrides_headers(tools, transport, server):
    """A header of the call replaces the usual one, whatever its case."""
    where = server()
    await tools.wire(transport, where.url).exchange(tools.write.call(body=b"a,b", headers={"content-type": "text/csv"}))
    lines = where.requests[0][0].lower().split(b"\r\n")
    assert [line for line in lines if line.startswith(b"content-type")] == [b"content-type: text/csv"]


async def test_a_large_body_arrives_whole(tools, transport, server):
    """Bodies larger than the socket's buffer are written in pieces, and nothing of them is lost."""
    where = server()
    body = bytes(range(256)) * 8000
    await tools.wire(transport, where.url).exchange(tools.write.call(body=body))
    assert where.requests[0][1] == body


async def test_an_endpoint_may_have_a_path(tools, transport, server):
    """Calls go below the endpoint's path, as behind a proxy."""
    where = server()
    await tools.wire(transport, f"{where.url}/eu").exchange(tools.read.call())
    assert where.requests[0][0].startswith(b"GET /eu/r HTTP/1.1")


async def test_a_reply(tools, transport, server):
    """A 2xx comes back with its status, lower-case header names, body and duration; repeated headers are joined."""
    where = server(respond("201 Created\r\nX-Amzn-RequestId: id-7\r\nX-A: 1\r\nx-a: 2", b'{"a": 1}'))
    reply = await tools.wire(transport, where.url).exchange(tools.write.call())
    assert reply.status == 201
    assert reply.body == b'{"a": 1}'
    assert reply.request_id == "id-7"
    assert reply.headers["x-a"] == "1, 2"
    assert reply.elapsed == 1.0


async def test_an_empty_reply(tools, transport, server):
    """A 204 has no body to wait for."""

    def script(line):
        line.read()
        line.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        line.hang()

    reply = await tools.wire(transport, server(script).url).exchange(tools.write.call())
    assert (reply.status, reply.body) == (204, b"")


def deflated(body: bytes) -> bytes:
    squeeze = zlib.compressobj(wbits=-15)
    return squeeze.compress(body) + squeeze.flush()


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("gzip", lambda body: gzip.compress(body[:9]) + gzip.compress(body[9:])),
        ("deflate", zlib.compress),
        ("deflate", deflated),
        ("identity", bytes),
    ],
)
async def test_a_compressed_reply(encoding, encode, tools, transport, server):
    """Compressed bodies are unpacked: gzip, also of several members, and deflate with and without its header."""
    body = b'{"payload": "hello"}' * 1000
    where = server(respond(f"200 OK\r\nContent-Encoding: {encoding}", encode(body)))
    assert (await tools.wire(transport, where.url).exchange(tools.read.call())).body == body


async def test_a_reply_in_many_pieces(tools, transport, server):
    """Headers and body may come in any pieces; the connection is used again afterwards."""

    def script(line):
        while True:
            line.read()
            for piece in (
                b"HTTP/1.1 200 OK\r\nTransfer-Enc",
                b"oding: chunked\r\n\r\n5\r\nhel",
                b"lo\r\n",
                b"0\r\n\r\n",
            ):
                line.send(piece)
                line.server.over.wait(0.005)

    where = server(script)
    wire = tools.wire(transport, where.url)
    for _ in range(2):
        assert (await wire.exchange(tools.read.call())).body == b"hello"
    assert len(where.lines) == 1


async def test_cookies_are_not_kept(tools, transport, server):
    """A cookie that a reply sets is not sent with the next call."""
    where = server(respond("200 OK\r\nSet-Cookie: session=1; Path=/"))
    wire = tools.wire(transport, where.url.replace("127.0.0.1", "localhost"))  # cookie jars ignore bare addresses
    await wire.exchange(tools.read.call())
    await wire.exchange(tools.read.call())
    assert b"ookie" not in where.requests[1][0]


async def test_redirects_are_not_followed(tools, transport, server):
    """A 3xx is an error like any other: nobody else gets the token."""
    elsewhere = server()
    where = server(respond(f"307 Temporary Redirect\r\nLocation: {elsewhere.url}/"))
    with pytest.raises(StatusError) as caught:
        await tools.wire(transport, where.url).exchange(tools.write.call())
    assert caught.value.status == 307
    assert caught.value.is_retry_safe is False
    assert elsewhere.lines == []


async def test_the_environment_is_not_read(tools, transport, server, monkeypatch, tmp_path):
    """Neither proxies nor passwords of the environment change where a call goes and what it holds."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    where = server()
    await tools.wire(transport, where.url).exchange(tools.read.call())
    assert b"uthorization" not in where.requests[0][0]


async def test_tls(tools, transport, server):
    """With a certificate that it trusts, the same goes on over TLS, and the connection is used again."""
    where = server(tls=tools.certified())
    wire = tools.wire(transport, where.url)
    for _ in range(3):
        assert (await wire.exchange(tools.write.call(body=b"{}"))).status == 200
    assert len(where.lines) == 1


ERROR = b'{"errors": [{"code": "Odd", "message": "It is odd.", "details": "very"}]}'


@pytest.mark.parametrize(
    ("status", "kind", "repeatable_is_safe", "unsafe_is_unknown"),
    [
        (302, StatusError, False, False),
        (400, BadRequestError, False, False),
        (403, StatusError, False, False),
        (404, StatusError, False, False),
        (408, StatusError, True, True),
        (413, StatusError, False, False),
        (429, QuotaExceededError, True, False),
        (500, ServerError, True, True),
        (502, ServerError, True, True),
        (503, ServerError, True, True),
        (504, ServerError, True, True),
    ],
)
async def test_what_statuses_mean(status, kind, repeatable_is_safe, unsafe_is_unknown, tools, transport, server):
    """4xx may not be repeated, 429 always, 5xx if the operation allows it; else its outcome is unknown."""
    where = server(respond(f"{status} Oh\r\nx-amzn-RequestId: id-9\r\nRetry-After: 7", ERROR))
    wire = tools.wire(transport, where.url)
    with pytest.raises(kind) as caught:
        await wire.exchange(attrs.evolve(tools.read.call(), attempt=3))
    error = caught.value
    assert error.is_retry_safe is repeatable_is_safe
    assert error.errors == (Problem("Odd", "It is odd.", "very"),)
    assert (error.status, error.request_id, error.retry_after, error.attempt) == (status, "id-9", 7.0, 3)
    assert error.body == ERROR

    with pytest.raises(OutcomeUnknownError if unsafe_is_unknown else kind) as caught:
        await wire.exchange(tools.write.call())
    error = caught.value
    assert error.request_id == "id-9"
    assert error.is_retry_safe is (status == 429)
    if unsafe_is_unknown:
        assert isinstance(error.__cause__, kind)
        assert "It is odd." in str(error)


@pytest.mark.parametrize(
    ("status", "kind"), [(400, BadRequestError), (429, QuotaExceededError), (500, OutcomeUnknownError)]
)
async def test_an_error_whose_body_breaks_off(status, kind, tools, transport, server):
    """The status is certain even when the body is not: a refusal stays a refusal."""

    def script(line):
        line.read()
        line.send(f"HTTP/1.1 {status} Oh\r\nContent-Length: 100\r\n\r\n{{".encode())

    with pytest.raises(kind):
        await tools.wire(transport, server(script).url).exchange(tools.write.call())


async def test_an_idempotency_key_makes_a_call_repeatable(tools, transport, server):
    """With its key a call cannot be done twice, so a fault leaves nothing unknown; without one it does."""
    where = server(respond("500 Oh"))
    operation = attrs.evolve(tools.write, idempotency_header="x-amzn-IdempotencyKey")
    wire = tools.wire(transport, where.url)
    with pytest.raises(ServerError) as caught:
        await wire.exchange(operation.call(headers={"X-Amzn-Idempotencykey": "k"}))
    assert caught.value.is_retry_safe is True
    with pytest.raises(OutcomeUnknownError):
        await wire.exchange(operation.call())


async def test_every_exchange_is_told(tools, transport, server):
    """Each exchange emits one `Attempted`: after a reply, an error status, and none at all."""
    where = server(respond("200 OK\r\nx-amzn-RequestId: id-1"))
    bad = server(respond("400 Oh\r\nx-amzn-RequestId: id-2"))
    cut = server(lambda line: line.read())
    await tools.wire(transport, where.url).exchange(tools.read.call())
    with pytest.raises(BadRequestError):
        await tools.wire(transport, bad.url).exchange(attrs.evolve(tools.write.call(), attempt=2))
    with pytest.raises(ConnectionLostError):
        await tools.wire(transport, cut.url).exchange(tools.read.call())
    assert [
        (event.operation, event.attempt, event.status, event.request_id, event.elapsed) for event in tools.events
    ] == [
        ("m.read", 1, 200, "id-1", 1.0),
        ("m.write", 2, 400, "id-2", 1.0),
        ("m.read", 1, None, None, 1.0),
    ]


async def test_errors_hold_no_secret(tools, transport, server):
    """Neither the token nor the body nor the query is in an error's text, in its causes' texts, or in its pickle."""
    where = server(lambda line: line.read())
    call = tools.write.call(query=[("buyer", "jane")], headers={"x-amz-access-token": SECRET}, body=b"Dear Jane")
    with pytest.raises(OutcomeUnknownError) as caught:
        await tools.wire(transport, where.url).exchange(call)
    error: BaseException | None = caught.value
    while error is not None:
        text = f"{error} {error!r} {error.args} {pickle.dumps(error) if error is caught.value else ''}"
        assert not any(secret in text for secret in (SECRET, "jane", "Jane"))
        error = error.__cause__


async def test_errors_do_not_quote_the_reply(tools, transport, server):
    """A reply that is no HTTP may hold anything; the error says what is wrong and does not repeat it."""

    def script(line):
        line.read()
        line.send(b"Dear Jane, this is not HTTP\r\n\r\n")

    with pytest.raises(ConnectionLostError) as caught:
        await tools.wire(transport, server(script).url).exchange(tools.read.call())
    assert "Jane" not in str(caught.value)


@pytest.mark.parametrize("moment", ["before the reply", "in the body"])
async def test_a_cancelled_exchange_leaves_the_pool_usable(moment, tools, transport, server):
    """Cancelling frees the connection's place at once, and what was begun on it is never read by another call."""
    asked = threading.Event()

    def script(line):
        line.read()
        if moment == "in the body":
            line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        asked.set()
        line.hang()

    where = server(script)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tools.wire(transport, where.url).exchange, tools.write.call())
        await anyio.to_thread.run_sync(asked.wait, 5)
        await anyio.sleep(0.02)
        tasks.cancel_scope.cancel()
    assert [event.status for event in tools.events] == [200 if moment == "in the body" else None]
    healthy = server()
    assert (await tools.wire(transport, healthy.url).exchange(tools.read.call())).body == b"{}"


async def test_many_at_once(tools, engine, server):
    """Fifty calls at once share ten connections, and each gets its own reply."""

    def echo(line):
        while True:
            head, _ = line.read()
            body = head.split(b" ")[1]
            line.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    where = server(echo)
    transport = engine.open(max_connections=10)
    wire = tools.wire(transport, where.url)
    bodies = {}

    async def one(number):
        bodies[number] = (await wire.exchange(tools.read.call(query=[("n", str(number))]))).body

    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(one, number)
    await transport.aclose()
    assert bodies == {number: b"/r?n=%d" % number for number in range(50)}
    assert len(where.lines) <= 10


async def test_post_form(tools, transport, server):
    """A form goes to its full URL, and whatever the answer's status, it is handed back as it is."""
    where = server(respond("400 Bad Request\r\nX-Amzn-RequestId: id-3", b'{"error": "invalid_grant"}'))
    wire = tools.wire(transport, "http://other.invalid")
    status, headers, body = await wire.post_form(
        f"{where.url}/auth/o2/token?x=1", {"grant_type": "refresh_token", "refresh_token": "Atzr|a b+c"}, Timeouts()
    )
    assert (status, headers["x-amzn-requestid"], body) == (400, "id-3", b'{"error": "invalid_grant"}')
    [(head, form)] = where.requests
    assert head.startswith(b"POST /auth/o2/token?x=1 HTTP/1.1\r\n")
    assert b"Content-Type: application/x-www-form-urlencoded;charset=UTF-8" in head
    assert form == b"grant_type=refresh_token&refresh_token=Atzr%7Ca+b%2Bc"
    assert tools.events == []


async def test_a_refusal_that_quotes_the_form(tools, transport, server):
    """What is secret in a form is blotted out of a refusal that quotes it, in whatever words."""
    form = {"client_secret": "the/secret…", "refresh_token": "Atzr|the-token", "code": "the-code", "scope": "the-scope"}
    body = orjson.dumps({"error_description": " ".join(form.values())})

    def script(line):
        line.read()
        line.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    where = server(script)
    _, _, answer = await tools.wire(transport, where.url).post_form(where.url, form)
    assert orjson.loads(answer) == {"error_description": "(secret) (secret) (secret) the-scope"}


async def test_post_form_without_a_reply(tools, transport, server):
    """No reply is a `TransportError` of the operation `lwa`, which may always be repeated and shows no secret."""
    where = server(lambda line: line.read())
    wire = tools.wire(transport, "http://other.invalid")
    with pytest.raises(ConnectionLostError) as caught:
        await wire.post_form(where.url, {"client_secret": SECRET}, Timeouts())
    error = caught.value
    assert (error.operation, error.had_begun, error.is_retry_safe) == ("lwa", True, True)
    assert SECRET not in f"{error} {error!r} {error.__cause__!r}"


async def test_post_form_whose_answer_breaks_off(tools, transport, server):
    """Half an answer is none: a token cannot be read from it."""

    def script(line):
        line.read()
        line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")

    with pytest.raises(ConnectionLostError):
        await tools.wire(transport, "http://other.invalid").post_form(server(script).url, {}, Timeouts())


@pytest.mark.parametrize("data", [b"bytes", bytes(100_000)], ids=len)
async def test_a_transfer_has_only_the_headers_it_was_given(tools, transport, server, data):
    """A presigned URL covers its headers: no token, no User-Agent, no content type is added, and the target stays."""
    where = server()
    wire = tools.wire(transport, "http://elsewhere")
    reply = await wire.transfer("PUT", f"{where.url}/a%2Fb?X-Amz-Signature=1%2B2", {"Content-MD5": "x=="}, data)
    assert reply.status == 200
    [(head, body)] = where.requests
    first, *fields = head.decode().split("\r\n")
    assert (first, body) == ("PUT /a%2Fb?X-Amz-Signature=1%2B2 HTTP/1.1", data)
    assert {field.partition(":")[0].lower() for field in fields} == {"host", "content-md5", "content-length"}


@pytest.mark.parametrize(("status", "is_safe"), [(403, False), (400, False), (307, False), (503, True)])
async def test_a_storage_that_refuses_is_told_by_its_code(tools, transport, server, status, is_safe):
    """The error has status and code, and neither the URL nor what else the storage wrote."""
    xml = b"<Error><Code>SomeCode</Code><Message>sig-secret</Message></Error>"
    where = server(respond(f"{status} No", xml))
    with pytest.raises(TransferError, match=f"answered {status} SomeCode") as caught:
        await tools.wire(transport, "http://elsewhere").transfer("PUT", f"{where.url}/a?X-Amz-Signature=sig-secret", {})
    assert (caught.value.status, caught.value.code, caught.value.is_retry_safe) == (status, "SomeCode", is_safe)
    assert "sig-secret" not in repr(caught.value)
    assert len(where.requests) == 1


async def test_a_lost_transfer_may_be_made_again(tools, transport, server):
    """Storing the same bytes twice does nothing twice; the error names the host and not the URL."""
    where = server(lambda line: (line.read(), line.reset()))
    with pytest.raises(ConnectionLostError) as caught:
        await tools.wire(transport, "http://elsewhere").transfer("PUT", f"{where.url}/a?sig-secret", {}, b"x")
    assert caught.value.is_retry_safe
    assert "sig-secret" not in repr(caught.value)


@pytest.mark.parametrize(
    ("url", "headers"), [("http://h/ä?sig-secret", {}), ("http://h/a b?sig-secret", {}), ("http://h/", {"a": "ä"})]
)
async def test_a_transfer_that_cannot_be_sent_is_refused(tools, transport, url, headers):
    """A URL or a header that would have to be changed is an error without it; nothing is sent."""
    with pytest.raises(ArgumentError) as caught:
        await tools.wire(transport, "http://elsewhere").transfer("PUT", url, headers)
    assert "sig-secret" not in repr(caught.value)
    assert caught.value.__cause__ is None
