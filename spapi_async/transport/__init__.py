"""The only folder that knows HTTP. Read `wire`, then `aiohttp`.

`Wire` is the last stage of a call: one exchange, and an error that says whether the request had begun to leave.
`AiohttpTransport` (in `transport.aiohttp`) is the engine below it on asyncio; any `httpx.AsyncBaseTransport` can stand
in its place.
"""

from __future__ import annotations

from .auto import default_transport
from .user_agent import user_agent
from .wire import Wire

__all__ = ["Wire", "default_transport", "user_agent"]
