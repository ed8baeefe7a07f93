"""Notifications: destinations of an application, and a selling partner's subscriptions. Nothing is ever delivered."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from .exchange import Answer, Request, refuse, reply
from .state import State

__all__ = [
    "create_destination",
    "create_subscription",
    "delete_destination",
    "delete_subscription",
    "get_destination",
    "get_destinations",
    "get_subscription",
    "get_subscription_by_id",
    "get_subscriptions",
    "send_test_notification",
]


def create_destination(request: Request, state: State) -> Answer:
    """Make a destination; a name or a resource that the application has already is a conflict."""
    body = request.json()
    name, resource = body.get("name"), body.get("resourceSpecification")
    if not isinstance(name, str) or not 1 <= len(name) <= 256:
        return _invalid("name must have 1 to 256 characters")
    if not isinstance(resource, dict) or len(resource) != 1 or not resource.keys() <= {"sqs", "eventBridge"}:
        return _invalid("resourceSpecification must hold one of sqs and eventBridge")
    resource = {kind: dict(facts) for kind, facts in resource.items() if isinstance(facts, dict)}
    needed = ("arn",) if "sqs" in resource else ("region", "accountId")
    facts = next(iter(resource.values()), None)
    if facts is None or not all(isinstance(facts.get(key), str) for key in needed):
        return _invalid(f"resourceSpecification lacks {' or '.join(needed)}")
    owned = state.destinations.setdefault(request.grant.client_id, {})
    if any(other["name"] == name or _identity(other["resource"]) == _identity(resource) for other in owned.values()):
        return refuse(409, "ResourceConflict", "There is such a destination already.")
    if "eventBridge" in resource:
        # Amazon names the partner event source; the rest is what the caller gave.
        facts["name"] = f"aws.partner/sellingpartnerapi.amazon.com/{facts['accountId']}/{name}"
    destination_id = str(uuid4())
    destination = owned[destination_id] = {"name": name, "destinationId": destination_id, "resource": resource}
    return _payload(destination)


def _identity(resource: dict[str, Any]) -> Any:
    # One EventBridge destination for an AWS account (Amazon's guide to notifications), one for a queue.
    return resource["sqs"]["arn"] if "sqs" in resource else resource["eventBridge"]["accountId"]


def get_destinations(request: Request, state: State) -> Answer:
    """List the application's destinations."""
    return _payload(list(state.destinations.get(request.grant.client_id, {}).values()))


def get_destination(request: Request, state: State) -> Answer:
    """Give one destination."""
    found = state.destinations.get(request.grant.client_id, {}).get(request.arguments["destinationId"])
    return _payload(found) if found else _not_found()


def delete_destination(request: Request, state: State) -> Answer:
    """Remove one destination."""
    found = state.destinations.get(request.grant.client_id, {}).pop(request.arguments["destinationId"], None)
    return reply(200, {}) if found else _not_found()


def create_subscription(request: Request, state: State) -> Answer:
    """Subscribe a selling partner; the same type, version and directive again is a conflict."""
    body, grant, kind = request.json(), request.grant, request.arguments["notificationType"]
    destination_id, version = body.get("destinationId"), body.get("payloadVersion")
    if not isinstance(version, str) or not version:
        return _invalid("payloadVersion is required")
    if destination_id not in state.destinations.get(grant.client_id, {}):
        return _invalid("destinationId is no destination of this application")
    directive = body.get("processingDirective")
    for seller, client_id, other, subscription in state.subscriptions.values():
        same = (seller, client_id, other, subscription["payloadVersion"], subscription.get("processingDirective"))
        if same == (grant.seller, grant.client_id, kind, version, directive):
            return refuse(409, "ResourceConflict", "There is such a subscription already.")
    subscription = {"subscriptionId": str(uuid4()), "payloadVersion": version, "destinationId": destination_id}
    if directive is not None:
        subscription["processingDirective"] = directive
    state.subscriptions[subscription["subscriptionId"]] = (grant.seller, grant.client_id, kind, subscription)
    return _payload(subscription)


def get_subscription(request: Request, state: State) -> Answer:
    """Give a selling partner's subscription of a type: the newest payload version, or the one asked for."""
    found = _of_seller(request, state, request.arguments["notificationType"])
    return _payload(max(found, key=lambda subscription: str(subscription["payloadVersion"]))) if found else _not_found()


def get_subscriptions(request: Request, state: State) -> Answer:
    """List a selling partner's subscriptions of a type."""
    found = [item for kind in request.values("notificationTypes") for item in _of_seller(request, state, kind)]
    return _payload({"subscriptions": found})


def get_subscription_by_id(request: Request, state: State) -> Answer:
    """Give any subscription of the application."""
    found = _of_application(request, state)
    return _payload(found) if found else _not_found()


def delete_subscription(request: Request, state: State) -> Answer:
    """Remove any subscription of the application."""
    found = _of_application(request, state)
    if not found:
        return _not_found()
    del state.subscriptions[found["subscriptionId"]]
    return reply(200, {})


def send_test_notification(request: Request, state: State) -> Answer:
    """Accept a test notification; it goes nowhere."""
    destination_id = request.json().get("destinationId")
    known = destination_id in state.destinations.get(request.grant.client_id, {})
    return reply(200, {}) if known else _not_found()


def _of_seller(request: Request, state: State, kind: str) -> list[dict[str, Any]]:
    owner, version = (request.grant.seller, request.grant.client_id, kind), request.first("payloadVersion")
    return [
        subscription
        for *other, subscription in state.subscriptions.values()
        if tuple(other) == owner and version in ("", subscription["payloadVersion"])
    ]


def _of_application(request: Request, state: State) -> dict[str, Any] | None:
    _, client_id, kind, subscription = state.subscriptions.get(request.arguments["subscriptionId"], ("", "", "", {}))
    owner = request.grant.client_id, request.arguments["notificationType"]
    return subscription if (client_id, kind) == owner else None


def _payload(value: Any) -> Answer:
    return reply(200, {"payload": value})


def _not_found() -> Answer:
    return refuse(404, "NotFound", "The resource does not exist.")


def _invalid(details: str) -> Answer:
    return refuse(400, "InvalidInput", "The request has missing or invalid parameters.", details)
