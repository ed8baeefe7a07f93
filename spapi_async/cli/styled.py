"""Lines with a style, where rich is installed."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["styled_printer"]


def styled_printer() -> Callable[[str, str], None]:
    """Return a function that prints a line in a style, as in `bold`; without rich, in none."""
    try:
        from rich.console import Console
    except ImportError:
        return lambda text, _: print(text)
    console = Console()
    return lambda text, style: console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
