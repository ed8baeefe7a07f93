"""Messaging and Solicitations: which messages an order offers, and sending them.

Answers are HAL, as in Amazon's models `messaging` and `solicitations`. A refusal because of the order's state is a 403
`Unauthorized`, as Amazon's users see it: a business answer, not one about the token.

Every well-formed order id exists and offers everything, but for those that begin with `000` (Amazon gives out none):

    000-0000404-*   does not exist: 404
    000-0000403-*   offers nothing; sending is refused
    000-0000405-*   offers confirmDeliveryDetails and unexpectedProblem only
    000-0000409-*   takes each kind once
    000-0000406-*   was delivered a day ago, so no solicitation may be sent yet
    000-0000407-*   was delivered 40 days ago, so no solicitation may be sent any more
    000-0000410-*   offers everything, but has changed by the time of sending: every send is refused
    000-00005NN-*   answers with the status 5NN, and nothing is done (NN: 00, 02, 03, 04)

A solicitation may be sent from 5 days after an order's delivery to 30 days after it. An order of which nothing else was
said was delivered 10 days ago, whenever that is asked.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from ..marketplaces import Marketplace
from .exchange import Answer, Request, refuse, reply
from .state import Attachment, Message, State

__all__ = [
    "ERRORS",
    "KINDS",
    "SOLICITATION",
    "actions",
    "attributes",
    "no_order",
    "order_trouble",
    "send",
    "solicit",
    "solicitations",
]

HAL = "application/hal+json"
SOLICITATION = "productReviewAndSellerFeedback"

KINDS: dict[str, tuple[int, tuple[int, int]]] = {
    "confirmCustomizationDetails": (800, (0, 5)),
    "confirmDeliveryDetails": (2000, (0, 0)),
    "legalDisclosure": (0, (0, 5)),
    "confirmOrderDetails": (2000, (0, 0)),
    "confirmServiceDetails": (2000, (0, 0)),
    "warranty": (0, (1, 5)),
    "digitalAccessKey": (400, (0, 5)),
    "unexpectedProblem": (2000, (0, 0)),
    "invoice": (0, (1, 5)),
}
"""Longest text in characters (0: it takes none), and fewest and most attachments, by Amazon's model `messaging`."""

_TYPES = re.compile(r"\.(?:txt|pdf|docx?|jpe?g|gif|png)$", re.IGNORECASE)
_MOST_BYTES = 10 * 1024 * 1024  # of all attachments of a message
_OPENS, _CLOSES = timedelta(days=5), timedelta(days=30)  # after delivery
_DELIVERED = {"406": timedelta(days=1), "407": timedelta(days=40)}  # ago
_ORDINARY = timedelta(days=10)

_LOCALES: dict[str, str] = {
    Marketplace.DE: "de-DE",
    Marketplace.ES: "es-ES",
    Marketplace.FR: "fr-FR",
    Marketplace.IT: "it-IT",
    Marketplace.JP: "ja-JP",
    Marketplace.NL: "nl-NL",
    Marketplace.UK: "en-GB",
}

ERRORS = {500: "InternalFailure", 502: "BadGateway", 503: "ServiceUnavailable", 504: "GatewayTimeout"}


def _special(order_id: str) -> str:
    return order_id[8:11] if order_id.startswith("000-0000") else ""


def order_trouble(order_id: str) -> Answer | None:
    """Give the answer of an order that does not exist or cannot be served; None for all others."""
    special = _special(order_id)
    if special == "404":
        return no_order()
    if special.isdigit() and int(special) in ERRORS:
        return refuse(int(special), ERRORS[int(special)], "The service failed.")
    return None


def no_order() -> Answer:
    """Give the answer about an order that does not exist, or is another's: Amazon does not tell them apart."""
    return refuse(404, "NotFound", "The order does not exist.")


def actions(request: Request, state: State) -> Answer:
    """Tell which kinds of message may go to an order now."""
    offered = [kind for kind in KINDS if _is_offered(request, state, kind)]
    return _hal(request, [(kind, "messages/" + kind) for kind in offered])


def attributes(request: Request, _state: State) -> Answer:
    """Tell the buyer's language: that of the marketplace, where it has one."""
    locale = _LOCALES.get(request.first("marketplaceIds"), "en-US")
    return reply(200, {"buyer": {"locale": locale}}, HAL)


def send(request: Request, state: State) -> Answer:
    """Deliver a message; its kind is the last segment of the path."""
    kind = request.operation.path.rpartition("/")[2]
    order_id = request.arguments["amazonOrderId"]
    if not _is_offered(request, state, kind) or _special(order_id) == "410":
        return refuse(
            403, "Unauthorized", "The amazonOrderId and the template are not a valid combination for this order now."
        )
    body = request.json()
    body = body if isinstance(body, dict) else {}  # anything may come with a request of Amazon's static sandbox
    text = body.get("text", "")
    attachments = body.get("attachments") or []
    if not request.is_example and (
        problem := _period_problem(body) or _problem(request, state, kind, text, attachments)
    ):
        return refuse(400, "InvalidInput", problem)
    coverage = str(body.get("coverageStartDate", "")), str(body.get("coverageEndDate", ""))
    files = tuple(_attachment(entry, state) for entry in attachments if isinstance(entry, dict))
    state.deliver(_message(request, kind, str(text), files, coverage))
    return reply(201, {}, HAL)


def solicitations(request: Request, state: State) -> Answer:
    """Tell whether a review and seller feedback may be asked for now."""
    offered = [(SOLICITATION, "solicitations/" + SOLICITATION)] if _may_solicit(request, state) else []
    return _hal(request, offered)


def solicit(request: Request, state: State) -> Answer:
    """Ask for a review and seller feedback: once for an order, and only for some days after its delivery."""
    if not _is_in_time(request, state):
        message = "A review cannot be requested outside the 5-30 day range after the order delivery date."
        return refuse(403, "Unauthorized", message)
    if not _may_solicit(request, state) or _special(request.arguments["amazonOrderId"]) == "410":
        return refuse(403, "Unauthorized", "The requested solicitation is not available for this amazonOrderId.")
    state.deliver(_message(request, SOLICITATION))
    return reply(201, {}, HAL)


def _is_offered(request: Request, state: State, kind: str) -> bool:
    order_id = request.arguments["amazonOrderId"]
    special = _special(order_id)
    if special == "403" or kind not in KINDS:
        return False
    if special == "405":
        return kind in ("confirmDeliveryDetails", "unexpectedProblem")
    return special != "409" or not state.sent[request.grant.seller, order_id, kind]


def _may_solicit(request: Request, state: State) -> bool:
    order_id = request.arguments["amazonOrderId"]
    is_open = _special(order_id) != "403" and _is_in_time(request, state)
    return is_open and not state.sent[request.grant.seller, order_id, SOLICITATION]


def _is_in_time(request: Request, state: State) -> bool:
    if request.is_example:  # Amazon's static sandbox knows no time
        return True
    order_id = request.arguments["amazonOrderId"]
    delivered = state.deliveries.get(order_id, request.time - _DELIVERED.get(_special(order_id), _ORDINARY))
    return _OPENS <= request.time - delivered <= _CLOSES


def _problem(request: Request, state: State, kind: str, text: Any, attachments: Any) -> str | None:
    longest, (fewest, most) = KINDS[kind]
    if longest and not (isinstance(text, str) and 1 <= len(text) <= longest):
        return f"The text must have 1 to {longest} characters."
    if text and not longest:
        return f"A message of the kind {kind} takes no text."
    if not isinstance(attachments, list) or not fewest <= len(attachments) <= most:
        return f"A message of the kind {kind} takes {fewest} to {most} attachments."
    resource = f"messaging/v1/orders/{request.arguments['amazonOrderId']}/messages/{kind}"
    total = 0
    for entry in attachments:
        upload_id = entry.get("uploadDestinationId") if isinstance(entry, dict) else None
        upload = state.uploads.get(upload_id) if isinstance(upload_id, str) else None
        if (
            upload is None
            or upload.size is None
            or (upload.seller, upload.resource) != (request.grant.seller, resource)
        ):
            return f"The attachment with the ID {upload_id} does not exist."
        if not _TYPES.search(entry["fileName"]):
            return "The fileName of an attachment must have an extension that is allowed."
        total += upload.size
    if total >= _MOST_BYTES:
        return "The attachments are too large."
    return None


def _period_problem(body: dict[str, Any]) -> str | None:
    times = []
    for name in ("coverageStartDate", "coverageEndDate"):
        try:
            times.append(datetime.fromisoformat(body[name]) if body.get(name) else None)
        except ValueError:
            return f"{name} is no time."
    if any(time is not None and time.tzinfo is None for time in times):
        return "The dates of a coverage need a zone."
    start, end = times
    return "coverageEndDate is before coverageStartDate." if start and end and end < start else None


def _attachment(entry: dict[str, Any], state: State) -> Attachment:
    upload = state.uploads.get(entry.get("uploadDestinationId", ""))  # none, with a request of the static sandbox
    md5, size = (upload.content_md5, upload.size or 0) if upload is not None else ("", 0)
    return Attachment(file_name=str(entry.get("fileName", "")), content_md5=md5, size=size)


def _message(
    request: Request,
    kind: str,
    text: str = "",
    attachments: tuple[Attachment, ...] = (),
    coverage: tuple[str, str] = ("", ""),
) -> Message:
    return Message(
        order_id=request.arguments["amazonOrderId"],
        seller=request.grant.seller,
        kind=kind,
        marketplace_id=request.first("marketplaceIds"),
        text=text,
        attachments=attachments,
        coverage=coverage,
        time=request.time.isoformat(timespec="milliseconds"),
        request_id=request.request_id,
    )


def _hal(request: Request, offered: list[tuple[str, str]]) -> Answer:
    query = "?marketplaceIds=" + request.first("marketplaceIds")
    links = [{"href": f"{request.path}/{way}{query}", "name": name} for name, way in offered]
    embedded = [
        {
            "_links": {"self": link, "schema": {"href": f"{request.path}/{way}/schema", "name": name}},
            "payload": {"name": name},
        }
        for link, (name, way) in zip(links, offered, strict=True)
    ]
    value = {
        "_links": {"self": {"href": request.path + query}, "actions": links},
        "_embedded": {"actions": embedded},
    }
    return reply(200, value, HAL)
