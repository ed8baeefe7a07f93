"""An httpx request that keeps its target byte for byte, and makes httpx's URL and headers when they are looked at."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx

__all__ = ["OutgoingRequest"]


class OutgoingRequest(httpx.Request):
    """One request of ours.

    `httpx.URL` resolves `..` and quotes some characters, which breaks a signature, and parsing costs more than the rest
    of the request together. Our engine needs neither: it takes `origin` and `target` as they are. httpx's engine takes
    the target from the extension of that name, which httpx documents for this purpose. A transport that asks for `url`
    or `headers` gets httpx's, made at that moment.

    Args:
        method: The HTTP verb.
        origin: The URL up to the path, as in `https://sellingpartnerapi-eu.amazon.com`.
        target: Path and query, percent-encoded.
        fields: The headers, in their order; nothing is added by itself.
        body: b"" for none.
        extensions: As httpx's transports know them.
    """

    def __init__(
        self,
        method: str,
        origin: str,
        target: str,
        fields: Mapping[str, str],
        body: bytes,
        extensions: Mapping[str, Any],
    ) -> None:
        self.origin = origin
        self.target = target
        self._fields = fields
        self._headers: httpx.Headers | None = None
        self._parsed: httpx.URL | None = None
        # All that httpx's own `__init__` sets, but for URL and headers.
        self.method = method
        self.extensions = {**extensions, "target": target.encode("ascii")}
        self.stream = _Body(body)
        self._content = body

    def pairs(self) -> list[tuple[str, str]]:
        """Return the headers as they are to be sent."""
        if self._headers is None:
            return list(self._fields.items())
        return [(name.decode("ascii"), value.decode("ascii")) for name, value in self._headers.raw]

    # httpx keeps both as plain attributes that it sets when a request is made.
    @property
    def headers(self) -> httpx.Headers:
        """The headers as httpx has them; what is changed here is sent."""
        if self._headers is None:
            self._headers = httpx.Headers(self._fields)
        return self._headers

    @headers.setter
    def headers(self, value: httpx.Headers) -> None:
        self._headers = value

    @property
    def url(self) -> httpx.URL:
        """The URL as httpx understands it; `target` is what counts."""
        if self._parsed is None:
            self._parsed = httpx.URL(self.origin + self.target)
        return self._parsed

    @url.setter
    def url(self, value: httpx.URL) -> None:
        self._parsed = value
        self.origin = f"{value.scheme}://{value.netloc.decode('ascii')}"
        self.target = value.raw_path.decode("ascii")
        self.extensions["target"] = value.raw_path


class _Body(httpx.ByteStream):
    """httpx's own is an async generator, and trio warns of those that are not read to the end, as after a fault."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Once(b"".join(self))


class _Once:
    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        body, self._body = self._body, None
        if body is None:
            raise StopAsyncIteration
        return body
