"""The table of kinds: a line for each. Limits are those of Amazon's models of Messaging and Solicitations. Pure.

https://developer-docs.amazon.com/sp-api/docs/messaging-api-v1-reference
https://developer-docs.amazon.com/sp-api/docs/solicitations-api-v1-reference
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from ...apis.messaging_v1 import operations as messaging
from ...apis.solicitations_v1 import operations as solicitations
from ...errors import ConfigError
from .kind import Kind

__all__ = ["KINDS", "WITHDRAWN", "find_kind"]

_COVERAGE = {"coverage_start_date": "coverageStartDate", "coverage_end_date": "coverageEndDate"}
_DELIVERY = {"earliest_delivery_date": "", "latest_delivery_date": ""}

# Amazon's models allow messages of the kinds without text to have no attachment either; to a buyer that is nothing.
_LIVE = (
    Kind(
        name="confirmCustomizationDetails",
        operation=messaging.CONFIRM_CUSTOMIZATION_DETAILS,
        longest=800,
        attachments=(0, 5),
    ),
    Kind(name="confirmDeliveryDetails", operation=messaging.CREATE_CONFIRM_DELIVERY_DETAILS, longest=2000),
    Kind(name="legalDisclosure", operation=messaging.CREATE_LEGAL_DISCLOSURE, attachments=(1, 5)),
    Kind(name="confirmOrderDetails", operation=messaging.CREATE_CONFIRM_ORDER_DETAILS, longest=2000),
    Kind(name="confirmServiceDetails", operation=messaging.CREATE_CONFIRM_SERVICE_DETAILS, longest=2000),
    Kind(name="warranty", operation=messaging.CREATE_WARRANTY, attachments=(1, 5), period=_COVERAGE),
    Kind(name="digitalAccessKey", operation=messaging.CREATE_DIGITAL_ACCESS_KEY, longest=400, attachments=(0, 5)),
    Kind(name="unexpectedProblem", operation=messaging.CREATE_UNEXPECTED_PROBLEM, longest=2000),
    Kind(name="invoice", operation=messaging.SEND_INVOICE, attachments=(1, 5)),
    Kind(
        name="productReviewAndSellerFeedback",
        operation=solicitations.CREATE_PRODUCT_REVIEW_AND_SELLER_FEEDBACK_SOLICITATION,
        check=solicitations.GET_SOLICITATION_ACTIONS_FOR_ORDER,
        period=_DELIVERY,
        once=True,
    ),
)
_RETIRED = (
    Kind(name="negativeFeedbackRemoval", operation=messaging.CREATE_NEGATIVE_FEEDBACK_REMOVAL, once=True),
    Kind(name="amazonMotors", operation=messaging.CREATE_AMAZON_MOTORS, attachments=(1, 5)),
)

KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _LIVE}
"""Every kind that Amazon has, by its name."""
WITHDRAWN: Mapping[str, Kind] = {kind.name: kind for kind in _RETIRED}
"""The kinds that Amazon had, by name. The actions of an order may still list them; the operations are gone."""


def find_kind(name: str, *, withdrawn: bool = False) -> Kind:
    """Return the kind of a name.

    Args:
        name: Amazon's name.
        withdrawn: Whether it may be one that Amazon has withdrawn.

    Raises:
        ConfigError: There is none; the message lists them and names the nearest.
    """
    if name in KINDS:
        return KINDS[name]
    if name in WITHDRAWN:
        if withdrawn:
            return WITHDRAWN[name]
        raise ConfigError(f"{name} was {WITHDRAWN[name].operation.retired}; --withdrawn tries it all the same")
    by_lower = {known.lower(): known for known in KINDS}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    hint = f" Did you mean {by_lower[near[0]]}?" if near else ""
    raise ConfigError(f"no kind is called {name!r}.{hint} There are: {', '.join(KINDS)}")
