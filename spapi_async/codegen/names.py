"""Amazon's names in Python: pure."""

from __future__ import annotations

import keyword
import re

__all__ = ["class_name", "constant", "pascal", "snake"]

_PLURAL_ACRONYM = re.compile(r"([A-Z]{2,})s(?![a-z])")
_WORD_ENDS = (re.compile(r"([a-z0-9])([A-Z])"), re.compile(r"([A-Z]+)([A-Z][a-z])"))


def snake(name: str) -> str:
    """Return a name in snake_case: `SellerSKU` is `seller_sku`, `supportedDPIs` is `supported_dpis`.

    A header's `x-amzn-` and a leading underscore (HAL's `_links`) are left out; `self` is `self_`, since it could not
    be an argument otherwise.
    """
    name = re.sub(r"^x-amzn-", "", name, flags=re.IGNORECASE)
    name = _PLURAL_ACRONYM.sub(lambda found: found[1].capitalize() + "s", name)
    for pattern in _WORD_ENDS:
        name = pattern.sub(r"\1_\2", name)
    name = re.sub(r"[^0-9a-zA-Z]+", "_", name).strip("_").lower()
    if not name or name[0].isdigit():
        name = "n" + name
    return name + "_" if keyword.iskeyword(name) or name == "self" else name


def pascal(name: str) -> str:
    """Return a name in PascalCase, its inner capitals kept: `orderedQuantity` is `OrderedQuantity`."""
    parts = [part for part in re.split(r"[^0-9a-zA-Z]+", name) if part]
    return "".join(part[0].upper() + part[1:] for part in parts)


def class_name(name: str) -> str:
    """Return a definition's name as a class name: Amazon's own, its first letter a capital."""
    return pascal(name)


def constant(value: str) -> str:
    """Return an enumerated value as the name of a constant: `Unfulfillable` is `UNFULFILLABLE`, `4x6` is `V_4X6`."""
    name = value
    for pattern in _WORD_ENDS if value.upper() != value else ():
        name = pattern.sub(r"\1_\2", name)
    name = re.sub(r"[^0-9a-zA-Z]+", "_", name).strip("_").upper()
    # Linters take a lone I or O for a digit.
    return f"V_{name}" if not name or name[0].isdigit() or name in {"I", "O"} else name
