"""An httpx response that makes httpx's headers only when they are looked at."""

from __future__ import annotations

from collections.abc import Sequence

import httpx

__all__ = ["IncomingResponse"]


class IncomingResponse(httpx.Response):
    """One response of our engine: `httpx.Response` but for the cost of making it, which nearly every call would pay.

    Args:
        status: The HTTP status.
        pairs: The headers as they came.
        stream: The body as it comes.
    """

    def __init__(
        self, status: int, pairs: Sequence[tuple[bytes, bytes]], stream: httpx.AsyncByteStream | httpx.ByteStream
    ) -> None:
        self.pairs = pairs
        self._headers: httpx.Headers | None = None
        # All that httpx's own `__init__` sets for a streamed response.
        self.status_code = status
        self.stream = stream
        self.extensions = {}
        self.history = []
        self.next_request = None
        self.default_encoding = "utf-8"
        self.is_closed = False
        self.is_stream_consumed = False
        self._request = None
        self._num_bytes_downloaded = 0

    @property
    def headers(self) -> httpx.Headers:
        """The headers as httpx has them."""
        if self._headers is None:
            self._headers = httpx.Headers(list(self.pairs))
        return self._headers

    @headers.setter
    def headers(self, value: httpx.Headers) -> None:
        self._headers = value
        self.pairs = value.raw
