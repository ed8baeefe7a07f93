"""A web service that acts for many selling partners: `uvicorn --factory service:make_app`.

docs/how-to/services.md explains it.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import attrs
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from spapi_async import (
    Application,
    CallError,
    ClientClosedError,
    Marketplace,
    OutcomeUnknownError,
    QueueFullError,
    SellingPartner,
    SpapiError,
    StatusError,
    ThrottleTimeoutError,
)
from spapi_async.apis.messaging_v1 import CreateConfirmOrderDetailsRequest
from spapi_async.middleware import Middleware, Next
from spapi_async.operation import Call, Reply

# Selling partner id -> refresh token. Yours are in a database, and so secret that they are not in a file like this.
REFRESH_TOKENS = {"SELLER1": "Atzr|SELLER1", "SELLER2": "Atzr|SELLER2"}

LONGEST_WAIT = 20.0  # seconds that a request of ours waits for Amazon's usage plan


def within(seconds: float) -> Middleware:
    """Make a stage that lets a call fail at once if its turn would come later than that."""

    async def limit(call: Call, next_: Next) -> Reply:
        return await next_(attrs.evolve(call, deadline=anyio.current_time() + seconds))

    return limit


def make_app(**options: Any) -> Starlette:
    """Make the service. Options are those of `Application`; credentials come from the environment without them."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        settings = {
            "client_id": os.environ.get("SPAPI_CLIENT_ID"),
            "client_secret": os.environ.get("SPAPI_CLIENT_SECRET"),
            "region": os.environ.get("SPAPI_REGION"),
            "endpoint": os.environ.get("SPAPI_ENDPOINT"),
            "lwa_endpoint": os.environ.get("SPAPI_LWA_ENDPOINT"),
            "middleware": [within(LONGEST_WAIT)],
        }
        # One for the whole process: it holds the connections, the tokens and the usage plans of all selling partners.
        async with Application(**(settings | options)) as app.state.amazon:
            yield

    return Starlette(
        routes=[
            Route("/{seller}/orders/{order_id}", get_order),
            Route("/{seller}/orders/{order_id}/question", ask_buyer, methods=["POST"]),
        ],
        exception_handlers={SpapiError: answer_error},
        lifespan=lifespan,
    )


def partner(request: Request) -> SellingPartner:
    """Give the client of the selling partner that the request is about: a light object, made for each request."""
    application: Application = request.app.state.amazon
    seller = request.path_params["seller"]
    return application.selling_partner(refresh_token=REFRESH_TOKENS[seller], selling_partner_id=seller)


async def get_order(request: Request) -> JSONResponse:
    """Answer with an order's status."""
    reply = await partner(request).orders_v0.get_order(order_id=request.path_params["order_id"])
    order = reply.payload
    return JSONResponse({"order": order.amazon_order_id, "status": order.order_status})


async def ask_buyer(request: Request) -> JSONResponse:
    """Send the buyer a question about the order."""
    question = await request.json()
    await partner(request).messaging_v1.create_confirm_order_details(
        amazon_order_id=request.path_params["order_id"],
        marketplace_ids=[Marketplace.DE],
        body=CreateConfirmOrderDetailsRequest(text=question["text"]),
    )
    return JSONResponse({"sent": True}, status_code=201)


async def answer_error(request: Request, error: Exception) -> JSONResponse:
    """Turn an error of the library into an answer that tells our caller what to do next."""
    headers: dict[str, str] = {}
    match error:
        case ThrottleTimeoutError() | QueueFullError():
            status, words = 503, "busy: Amazon's usage plan is used up for now"
            headers["retry-after"] = str(round(error.retry_after or 1) + 1)
        case ClientClosedError():
            status, words = 503, "this server is shutting down; nothing was sent"
        case OutcomeUnknownError():
            status, words = 502, "this may have been done: look before you repeat it"
        case StatusError() if error.status < 500:
            status, words = error.status, error.code
        case _:
            status, words = 502, "Amazon cannot be reached or has failed"
    request_id = error.request_id if isinstance(error, CallError) else None
    return JSONResponse({"error": words, "request_id": request_id}, status_code=status, headers=headers)
