"""One package per API version, generated from Amazon's models; importing one imports that one only.

In each: `client` (the class with a method per operation), `models` (attrs classes), `operations` (facts: path, usage
plan, limits), `decode` (JSON to the models and back, loaded at the first reply).
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

from ..operation import Operation

__all__ = ["catalog"]


def catalog(*modules: str) -> Iterator[Operation]:
    """Yield every operation, by module and in Amazon's order. No model is imported for it.

    Args:
        modules: Only the operations of these, as in `orders_v0`; a name that is none is passed over. Default: all.
    """
    from .namespace import MODULES

    for module in MODULES:
        if not modules or module in modules:
            yield from import_module(f"{__name__}.{module}.operations").OPERATIONS
