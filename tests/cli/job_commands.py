"""What the tests of the job commands share: a sandbox in another process, sources and command lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spapi_async import UsagePlan

DE = "A1PA6795UKMFR9"
FAST = UsagePlan(rate=100, burst=100)
SOLICITATIONS = "solicitations_v1.create_product_review_and_seller_feedback_solicitation"
PLANS = {
    "messaging_v1.get_messaging_actions_for_order": FAST,
    "messaging_v1.create_confirm_order_details": FAST,
    "solicitations_v1.get_solicitation_actions_for_order": FAST,
    SOLICITATIONS: FAST,
}
GOOD = [f"902-0000003-{n:07},{DE},hello {n}" for n in range(3)]
NOT_OFFERED = f"000-0000403-0000001,{DE},hello"
AMAZON_FAILS = f"000-0000500-0000001,{DE},hello"


def write(*lines: str, name: str = "messages.csv", header: str = "order_id,marketplace_id,text") -> None:
    Path(name).write_text("\n".join([header, *lines, ""]), encoding="utf-8")


def arguments(*more: str, source: str = "messages.csv", kind: str = "confirmOrderDetails") -> Sequence[str]:
    return ["jobs", "run", source, "--kind", kind, "--journal", "messages.db", *plans(), *more]


def plans() -> Sequence[str]:
    return [part for name in PLANS for part in ("--plan", f"{name}=100/100")]
