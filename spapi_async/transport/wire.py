"""The last stage: one HTTP exchange, and exact words for what went wrong with it.

The question that every failure here answers is whether the request had begun to leave this machine. If it had not,
Amazon cannot have seen it, and anything may be sent again. If it had, only an operation that is safe to repeat may be;
for another one the outcome is unknown, and `OutcomeUnknownError` says so.

"Begun" comes from the engine: ours and httpx's tell the `trace` extension when they start to write. Another transport
is believed when it raises `ConnectError`, `ConnectTimeout`, `PoolTimeout`, `ProxyError` or `UnsupportedProtocol`; with
any other failure of it the request counts as begun.

A reply that breaks off in its body still has a certain status. Other than 2xx, that decides, and the body counts as
empty. A 2xx says that the call was done, but its result is lost: an operation that is safe to repeat is told so by
`ConnectionLostError`; any other gets `OutcomeUnknownError`, since "done" without its result (the id of what was made,
say) still has to be looked up before going on, which is just what that error asks for.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

import anyio
import httpx

from ..errors import ArgumentError, ConfigError, StatusError, TransferError
from ..events import Attempted, Emit
from ..operation import Call, Reply, Timeouts
from .failures import BEFORE_BEGIN, is_repeatable, no_reply, outcome_unknown, status_error
from .request import OutgoingRequest
from .response import IncomingResponse

__all__ = ["Wire"]

# A space or a line break would end the target or the header early, and what follows would be read as something else.
_TARGET = re.compile(r"/[!\"$-~]*").fullmatch
_COMMON = {name.lower(): name for name in ("Host", "User-Agent", "Accept", "Accept-Encoding", "Content-Type")}
_WITH_BODY = {"POST", "PUT", "PATCH"}
_HEADER = re.compile(r"[\t -~]*").fullmatch
# Amazon's reply to a wrong signature quotes what should have been signed, these headers among it. Of the fields of a
# form it quotes none, but what stands in between may.
_SECRET = {"x-amz-access-token", "x-amz-security-token", "client_secret", "refresh_token", "code"}
# S3 answers in XML, and repeats in its <Message> and elsewhere what was signed.
_STORAGE_CODE = re.compile(rb"<Code>([A-Za-z]{1,60})</Code>")
_SHORTEST = 6  # characters of a token; what is shorter can be a part of any word

Sign = Callable[[str, str, Mapping[str, str], bytes], Mapping[str, str]]
"""From method, target, headers and body of a request to the headers, in lower case, that sign it."""
Signer = Callable[[Call], Awaitable[Sign]]
"""Gives what signs one exchange of a call; here it may wait, or raise."""


class Wire:
    """Makes exchanges over one transport.

    Args:
        transport: Called directly, without an `httpx.AsyncClient`. It is not closed here.
        endpoint: The URL that calls go to, without a slash at its end; it may have a path.
        timeouts: For calls that bring none of their own.
        user_agent: The header of that name.
        emit: Is told of every exchange of a call.
        clock: Seconds, for how long exchanges took.
        signer: Gives, for a call, the function that signs one exchange; None for no signature. It is here and no
            stage, since only here a request is complete.

    Raises:
        ConfigError: The endpoint has characters that cannot be sent.
    """

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        endpoint: str,
        timeouts: Timeouts,
        user_agent: str,
        emit: Emit,
        clock: Callable[[], float],
        signer: Signer | None = None,
    ) -> None:
        self._transport = transport
        self._reports = bool(getattr(transport, "reports_begin", isinstance(transport, httpx.AsyncHTTPTransport)))
        self._origin, self._prefix = _split(endpoint)
        self._timeouts = timeouts
        self._user_agent = user_agent
        self._emit = emit
        self._clock = clock
        self._signer = signer
        self._fields: dict[tuple[str, str, str], Mapping[str, str]] = {}

    async def exchange(self, call: Call) -> Reply:
        """Send a call once and read the whole reply.

        Returns:
            The reply, with a status of 2xx.

        Raises:
            TransportError: There was no reply, and the request may be sent again.
            OutcomeUnknownError: It may have been done: the request had begun and is not safe to repeat.
            StatusError: Amazon answered with another status.
            ArgumentError: The path, the query or a header has characters that cannot be sent.
            AuthError: There are no keys to sign it with.
        """
        operation = call.operation
        target = self._prefix + call.target
        if not _TARGET(target):
            raise ArgumentError(operation.key, ["the path and the query must be percent-encoded"])
        odd = [name for name, value in call.headers.items() if not _HEADER(value)]
        if odd:
            words = "has characters other than printable ASCII"
            raise ArgumentError(operation.key, [f"the header {name} {words}" for name in odd])
        sign = None if self._signer is None else await self._signer(call)
        answer = _Answer()
        # No variable for the headers: tracebacks may be shown with the variables of their frames, and these are secret.
        request = self._request(
            answer, operation.method, self._origin, target, self._headers(call, target, sign), call.body, call.timeout
        )
        started = self._clock()
        try:
            await self._send(answer, request, call.timeout)
        finally:
            elapsed = self._clock() - started
            self._emit(
                Attempted(
                    operation=operation.key,
                    attempt=call.attempt,
                    status=answer.status,
                    elapsed=elapsed,
                    request_id=answer.headers.get("x-amzn-requestid"),
                )
            )
        status = answer.status
        if status is not None and not 200 <= status < 300:
            raise status_error(call, status, answer.headers, _without_secrets(answer.body, request.pairs()))
        if answer.failure is not None:
            error = no_reply(
                answer.failure,
                operation=operation.key,
                attempt=call.attempt,
                begun=answer.begun,
                repeatable=is_repeatable(call),
                host=_host(self._origin),
                status=status,
            )
            raise (error if error.is_retry_safe else outcome_unknown(call, error))
        assert status is not None
        return Reply(status=status, headers=answer.headers, body=answer.body, elapsed=elapsed)

    async def post_form(
        self, url: str, form: Mapping[str, str], timeouts: Timeouts | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Post a form, as Login with Amazon takes it, and give back whatever it answers.

        Args:
            url: The full URL.
            form: Names and values; they are in no error and no event.
            timeouts: None for those of the calls.

        Returns:
            Status, headers with lower-case names, and body; in that of a refusal, secrets of the form are blotted out.

        Raises:
            TransportError: There was no whole reply. Its `operation` is `lwa`; repeating is always safe.
        """
        origin, target = _split(url)
        answer = _Answer()
        content_type = "application/x-www-form-urlencoded;charset=UTF-8"
        fields = {**self._common(origin, "application/json", content_type)}
        # The body has no name here: an error's traceback would show what it holds.
        request = self._request(
            answer, "POST", origin, target or "/", fields, urlencode(form).encode("ascii"), timeouts
        )
        await self._send(answer, request, timeouts)
        if answer.failure is not None or answer.status is None:
            raise no_reply(
                answer.failure or EOFError(),
                operation="lwa",
                attempt=1,
                begun=answer.begun,
                repeatable=True,  # fetching a token twice changes nothing
                host=_host(origin),
                status=answer.status,
            )
        body = answer.body if answer.status == 200 else _without_secrets(answer.body, form.items())
        return answer.status, answer.headers, body

    async def transfer(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeouts: Timeouts | None = None,
        attempt: int = 1,
    ) -> Reply:
        """Make one exchange with the storage behind a presigned URL: with exactly the headers given, and no token.

        Args:
            method: As the URL is signed for.
            url: As Amazon gave it. Whoever has it may use it, so it is in no error and no event.
            headers: Those that Amazon gave with it, no others: they are signed too.
            body: The bytes to store; b"" for none.
            timeouts: None for those of the calls.
            attempt: Which exchange of the transfer this is, for errors.

        Returns:
            The reply, with a status of 2xx.

        Raises:
            TransferError: The storage answered with another status.
            TransportError: There was no whole reply. To send the same again does nothing twice.
        """
        try:
            origin, target = _split(url)
            odd = not all(map(_HEADER, headers.values()))
        except ConfigError:
            odd = True
        if odd:
            raise ArgumentError("transfer", ["Amazon gave a URL or a header that cannot be sent as it is"]) from None
        answer = _Answer()
        fields = {"Host": _host(origin), **headers}
        started = self._clock()
        await self._send(answer, self._request(answer, method, origin, target, fields, body, timeouts), timeouts)
        status = answer.status
        if status is not None and not 200 <= status < 300:
            found = _STORAGE_CODE.search(answer.body[:1000])
            code = found[1].decode("ascii") if found else ""
            safe = status == 429 or StatusError.leaves_open(status)
            raise TransferError(status=status, code=code, attempt=attempt, is_retry_safe=safe)
        if answer.failure is not None or status is None:
            raise no_reply(
                answer.failure or EOFError(),
                operation="transfer",
                attempt=attempt,
                begun=answer.begun,
                repeatable=True,  # what is stored under a URL is the same afterwards
                host=_host(origin),
                status=status,
            )
        return Reply(status=status, headers=answer.headers, body=answer.body, elapsed=self._clock() - started)

    def _headers(self, call: Call, target: str, sign: Sign | None) -> dict[str, str]:
        """Give all headers of a call but its length."""
        fields = {**self._common(self._origin, call.operation.accept, "application/json" if call.body else "")}
        for name, value in call.headers.items():
            fields.pop(_COMMON.get(name.lower(), ""), None)  # the call's own goes before ours, however it is spelt
            fields[name] = value
        if sign is None:
            return fields
        signed = sign(call.operation.method, target, fields, call.body)
        return {**{name: value for name, value in fields.items() if name.lower() not in signed}, **signed}

    def _common(self, origin: str, accept: str, content_type: str) -> Mapping[str, str]:
        """Give the headers that all such requests have."""
        key = (origin, accept, content_type)
        fields = self._fields.get(key)
        if fields is None:
            fields = {
                "Host": _host(origin),
                "User-Agent": self._user_agent,
                "Accept": accept,
                "Accept-Encoding": "gzip, deflate",
                "Content-Type": content_type,
            }
            self._fields[key] = fields = {name: value for name, value in fields.items() if value}
        return fields

    def _request(
        self,
        answer: _Answer,
        method: str,
        origin: str,
        target: str,
        fields: dict[str, str],
        body: bytes,
        timeouts: Timeouts | None,
    ) -> OutgoingRequest:
        timeouts = timeouts or self._timeouts
        phases = {
            "connect": timeouts.connect,
            "read": timeouts.read,
            "write": timeouts.read,
            # Waiting for a free connection is no fault of the network; only the whole exchange bounds it.
            "pool": timeouts.total,
            "total": timeouts.total,
        }
        if body or method in _WITH_BODY:
            fields["Content-Length"] = str(len(body))
        return OutgoingRequest(method, origin, target, fields, body, {"timeout": phases, "trace": answer.trace})

    async def _send(self, answer: _Answer, request: OutgoingRequest, timeouts: Timeouts | None) -> None:
        """Make one exchange and note in the answer how far it came."""
        total = (timeouts or self._timeouts).total
        try:
            if getattr(self._transport, "bounds_total", False):
                await self._receive(answer, request)
            else:
                with anyio.fail_after(total):
                    await self._receive(answer, request)
        except TimeoutError:
            answer.failure = TimeoutError(f"it took longer than {total:g} s")
        except (httpx.RequestError, OSError, zlib.error, EOFError) as error:
            answer.failure = error
        if answer.failure is not None and not answer.begun:
            # Where the engine does not tell, only an error of the time before is proof that nothing was sent.
            answer.begun = not self._reports and not isinstance(answer.failure, BEFORE_BEGIN)

    async def _receive(self, answer: _Answer, request: OutgoingRequest) -> None:
        response = await self._transport.handle_async_request(request)
        answer.status = response.status_code
        answer.headers = _lower(response.pairs if isinstance(response, IncomingResponse) else response.headers.raw)
        raw = await _read(response)
        answer.body = _decode(raw, answer.headers.get("content-encoding", ""))


class _Answer:
    """What came of one exchange. All that is known of it is here even when it was cancelled in the middle."""

    __slots__ = ("begun", "body", "failure", "headers", "status")

    def __init__(self) -> None:
        self.begun = False
        self.status: int | None = None
        self.headers: Mapping[str, str] = {}
        self.body = b""
        self.failure: Exception | None = None

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Hear from the engine how far the request is (httpx's documentation: Extensions, "trace")."""
        # "http11." or "http2."; a request with CONNECT only asks a proxy for a tunnel.
        if event.endswith(".send_request_headers.started"):
            request = info.get("request")
            self.begun = self.begun or request is None or request.method != b"CONNECT"


def _split(url: str) -> tuple[str, str]:
    """Split a URL into scheme and host, and path and query.

    Raises:
        ConfigError: It cannot be sent as it is.
    """
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    if not url.isascii() or (target and not _TARGET(target)):
        raise ConfigError(f"{url!r} has characters that must be encoded: percent-encode its path, its host by IDNA")
    return f"{parts.scheme}://{parts.netloc}", target


def _host(origin: str) -> str:
    return origin.partition("://")[2]


async def _read(response: httpx.Response) -> bytes:
    """Read the body as it came on the wire: httpx's own decoding does not notice that a gzip stream was cut off."""
    stream = response.stream
    if isinstance(stream, httpx.ByteStream):  # nothing to wait for and nothing to close
        return b"".join(stream)
    assert isinstance(stream, AsyncIterable)
    try:
        return b"".join([piece async for piece in stream])
    finally:
        await response.aclose()


def _lower(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Read headers into a dictionary with lower-case names; those that come more than once are joined by commas."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _without_secrets(body: bytes, sent: Iterable[tuple[str, str]]) -> bytes:
    """Blot out of an error reply what was secret in its request, of the headers or fields of a form that were sent."""
    for name, value in sent:
        if name.lower() in _SECRET and len(value) >= _SHORTEST:
            for form in (value, value.replace("/", "\\/")):  # JSON may write a slash either way
                body = body.replace(form.encode(), b"(secret)")
    return body


def _decode(body: bytes, encoding: str) -> bytes:
    """Undo the content encoding.

    Raises:
        EOFError: The body ends too early.
        zlib.error: It is not in that encoding.
    """
    encoding = encoding.strip().lower()
    if not body or encoding not in {"gzip", "x-gzip", "deflate"}:
        return body
    # The format tells itself: 32 + 15 takes gzip and zlib. A first byte that can be neither is deflate without a
    # header, which some servers send under that name.
    wbits = 47 if body[0] in {0x1F, 0x78} else -15
    parts = []
    while body:
        decoder = zlib.decompressobj(wbits)
        parts.append(decoder.decompress(body))
        if not decoder.eof:
            raise EOFError("its compressed body ends too early")
        body = decoder.unused_data
    return b"".join(parts)
