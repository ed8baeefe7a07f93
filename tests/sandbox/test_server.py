from __future__ import annotations

import socket

import pytest

from spapi_async.errors import ConfigError
from spapi_async.sandbox.server import bind


def test_the_protocol_is_named() -> None:
    """Only for a socket that names TCP does asyncio turn Nagle's algorithm off, which costs 40 ms a reply."""
    with bind("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


@pytest.mark.parametrize(
    ("host", "port", "words"),
    [("127.0.0.1", 65536, "no port 65536"), ("127.0.0.1", -1, "no port -1"), ("192.0.2.1", 0, "cannot listen")],
)
def test_an_address_that_cannot_be(host: str, port: int, words: str) -> None:
    """A port out of range, or an address of another machine, is one clear line."""
    with pytest.raises(ConfigError, match=words):
        bind(host, port)
