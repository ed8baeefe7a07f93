"""Options of jobs that `jobs run` and `estimate` read alike."""

from __future__ import annotations

import argparse
import os

from ..errors import ConfigError
from ..marketplaces import Region
from ..operation import UsagePlan

__all__ = ["region_of", "usage_plan"]


def usage_plan(text: str) -> tuple[str, UsagePlan]:
    """Read NAME=RATE/BURST, for argparse."""
    name, _, figures = text.partition("=")
    rate, _, burst = figures.partition("/")
    try:
        return name, UsagePlan(rate=float(rate), burst=float(burst))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no plan as in messaging_v1.create_confirm_order_details=5/10: requests/s and burst"
        ) from None


def region_of(option: str | None, *, is_elsewhere: bool = False) -> Region | None:
    """Return the region whose marketplaces alone can be right; None when it is not known.

    Args:
        option: The value of --region.
        is_elsewhere: Whether another option names an endpoint; it goes before the environment.

    Raises:
        ConfigError: SPAPI_REGION is none.
    """
    name = os.environ.get("SPAPI_REGION", "").strip().lower()
    if option is None and (is_elsewhere or not name or os.environ.get("SPAPI_ENDPOINT")):
        return None
    try:
        return Region(option or name)
    except ValueError:
        raise ConfigError(f"SPAPI_REGION must be one of {', '.join(Region)}, not {name!r}") from None
