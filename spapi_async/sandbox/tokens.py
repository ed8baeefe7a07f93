"""Which token opens which operation, and the operation that gives out restricted data tokens (RDT).

Rules as on Amazon's pages “Grantless Operations” and “Tokens API”; the statuses as clients see them: 401 without a
token, 403 for one that does not fit.
"""

from __future__ import annotations

from typing import Any

from ..operation import Operation
from .exchange import Answer, Request, refuse, reply
from .lwa import Grant, Lwa, Resource
from .routing import Router

__all__ = ["RDT_PATH", "create_restricted_data_token", "find_grant"]

RDT_PATH = "/tokens/2021-03-01/restrictedDataToken"
_LIFETIME = 3600.0  # seconds an RDT is valid
_MAX_RESOURCES = 50
_METHODS = ("GET", "PUT", "POST", "DELETE")
# Three operations hand out more data with an RDT, and need to be told which.
_ELEMENTS = {
    "getOrders": {"buyerInfo", "shippingAddress", "buyerTaxInformation"},
    "getOrder": {"buyerInfo", "shippingAddress", "buyerTaxInformation"},
    "getOrderItems": {"buyerInfo"},
}


def find_grant(lwa: Lwa, token: str | None, operation: Operation, path: str, now: float) -> Grant | Answer:
    """Give what a token stands for, or the refusal when it does not open the operation.

    Args:
        lwa: Who gave out the tokens.
        token: The header `x-amz-access-token`.
        operation: What is called.
        path: The path as it came.
        now: Seconds on the sandbox's clock.
    """
    if not token:
        return _unauthorized(401, "The request has no access token in the header x-amz-access-token.")
    grant = lwa.find(token)
    if grant is None:
        return _unauthorized(403, "The access token is malformed, revoked or invalid.")
    if now >= grant.expires_at:
        return _unauthorized(403, "The access token has expired.")
    if operation.grantless_scope is not None:
        if operation.grantless_scope not in grant.scopes:
            return _unauthorized(403, f"The operation is grantless: it takes a token of {operation.grantless_scope}.")
        return grant
    if not grant.seller:
        return _unauthorized(403, "The operation acts for a selling partner: a grantless token does not open it.")
    if grant.resources is None:
        if operation.restricted == "required":
            return _unauthorized(403, "The operation is restricted: it takes a restricted data token.")
        return grant
    if not any(resource.opens(operation.key, path) for resource in grant.resources):
        return _unauthorized(403, "The restricted data token is for another method or path.")
    return grant


def _unauthorized(status: int, details: str) -> Answer:
    return refuse(
        status, "Unauthorized", "Access to the requested resource was denied.", details, "AccessDeniedException"
    )


def create_restricted_data_token(request: Request, lwa: Lwa, router: Router, now: float) -> Answer:
    """Give out a token for the resources that the body names."""
    body = request.json()
    resources = body.get("restrictedResources")
    if not isinstance(resources, list) or not 1 <= len(resources) <= _MAX_RESOURCES:
        return _invalid(f"restrictedResources must be a list of 1 to {_MAX_RESOURCES} resources")
    target = body.get("targetApplication", request.grant.client_id)
    if not isinstance(target, str) or not target:
        return _invalid("targetApplication must be the id of an application")
    opened = set()
    for number, entry in enumerate(resources):
        found = _resource(entry, router)
        if isinstance(found, str):
            return _invalid(f"restrictedResources[{number}]: {found}")
        opened.add(found)
    grant = Grant(
        # A delegate calls with its own application, so its usage plans are meant.
        client_id=target,
        seller=request.grant.seller,
        expires_at=now + _LIFETIME,
        resources=frozenset(opened),
    )
    return reply(200, {"restrictedDataToken": lwa.issue("Atz.sprdt", grant), "expiresIn": int(_LIFETIME)})


def _resource(entry: Any, router: Router) -> Resource | str:
    if not isinstance(entry, dict):
        return "it is no object"
    method, path, elements = entry.get("method"), entry.get("path"), entry.get("dataElements", [])
    if method not in _METHODS:
        return f"method must be one of {', '.join(_METHODS)}"
    found = router.find(method, path) if isinstance(path, str) and path.startswith("/") and "?" not in path else None
    if found is None:
        return "path must be the path of an operation, without host and query"
    operation, arguments = found
    if operation.restricted == "never":
        return "the operation is not restricted"
    is_generic = any(value.startswith("{") for value in arguments.values())
    if is_generic and (path != operation.path or not operation.restricted_path):
        return "the operation takes no such generic path"
    allowed = _ELEMENTS.get(operation.operation_id, set()) if operation.module == "orders_v0" else set()
    if not isinstance(elements, list) or not all(each in allowed for each in elements) or (allowed and not elements):
        return f"dataElements must be some of {sorted(allowed)}" if allowed else "the operation takes no dataElements"
    return Resource(operation.key, None if is_generic else path, frozenset(elements))


def _invalid(details: str) -> Answer:
    return refuse(400, "InvalidInput", "The request has missing or invalid parameters.", details)
