"""The request that the engines get."""

from __future__ import annotations

import httpx
import pytest

from spapi_async.transport.request import OutgoingRequest


@pytest.fixture
def request_():
    fields = {"Host": "api.example"}
    return OutgoingRequest("POST", "https://api.example", "/a/../b?c=|", fields, b"body", {"timeout": {}})


def test_it_is_an_httpx_request(request_):
    """Handlers of mocks see what they know: method, URL, headers, content."""
    assert (request_.method, request_.url.host, request_.url.path) == ("POST", "api.example", "/b")
    assert request_.content == request_.read() == b"body"
    assert repr(request_) == "<OutgoingRequest('POST', 'https://api.example/b?c=|')>"


def test_the_target_stays_as_it_is(request_):
    """However httpx understands the URL, the extension that engines send from has the target itself."""
    assert request_.extensions == {"timeout": {}, "target": b"/a/../b?c=|"}


def test_headers_are_a_copy(request_):
    """Many requests are made from the same headers; a change to one stays there."""
    fields = {"A": "1"}
    OutgoingRequest("GET", "https://x", "/", fields, b"", {}).headers["A"] = "2"
    assert fields["A"] == "1"


def test_changed_headers_are_sent(request_):
    """A transport that wraps another may add a header, or put others in their place, as with any of httpx's."""
    request_.headers["X-Mine"] = "1"
    assert request_.pairs() == [("Host", "api.example"), ("X-Mine", "1")]
    request_.headers = httpx.Headers({"Host": "elsewhere.example"})
    assert request_.pairs() == [("Host", "elsewhere.example")]


def test_its_url_can_be_replaced(request_):
    """A transport that wraps another may point a request elsewhere, as with any of httpx's."""
    request_.url = httpx.URL("http://elsewhere.example:8080/c?d=e")
    assert request_.url.host == "elsewhere.example"
    assert (request_.origin, request_.target) == ("http://elsewhere.example:8080", "/c?d=e")
    assert request_.extensions["target"] == b"/c?d=e"
