"""Failures on purpose: lost connections, server errors, late, broken and throttled replies.

Chosen by chance from a seed, or by a script for each operation. A fault acts on a call that has passed its token and
its usage plan, so that a script counts the calls that would have been done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from random import Random

import attrs

from ..errors import ConfigError
from ..operation import Operation
from .names import select

__all__ = ["KINDS", "Fault", "Faults"]

KINDS = {
    "drop-before": "the connection breaks before anything is done",
    "drop-after": "it is done, then the connection breaks before the reply",
    "reset-before": "the connection is reset before anything is done",
    "reset-after": "it is done, then the connection is reset before the reply",
    "error-before": "a 5xx, and nothing is done",
    "error-after": "it is done, then a 5xx",
    "slow": "it is done at once, the reply comes late",
    "throttle": "a 429 although the usage plan has room",
    "bad-json": "it is done; the reply's body is cut short",
    "html": "it is done; the reply's body is a page of HTML",
}

_STATUSES = (500, 502, 503, 504)
_OK = "ok"


@attrs.frozen
class Fault:
    """One failure: its kind, the status of an error, and the seconds of a slow reply."""

    kind: str
    status: int = 500
    seconds: float = 0.0


class Faults:
    """Which calls fail, and how.

    Args:
        drop_before, drop_after, reset_before, reset_after, error_before, error_after, slow, throttle, bad_json, html:
            How likely each kind is for one call, from 0 to 1; together at most 1.
        slow_seconds: How late a slow reply comes.
        operations: Names of the operations that chance may hit, wildcards as in `plans=`. Default: the ones that send
            a buyer something.
        script: For an operation's name, what happens to its calls in turn: a kind, `ok`, `error-before:503` or
            `slow:2.5`. Chance decides after the last one.
        seed: Makes chance repeatable: the same calls in the same order meet the same faults.

    Raises:
        ConfigError: A chance is out of range, or a script holds an unknown word.
    """

    def __init__(
        self,
        *,
        drop_before: float = 0.0,
        drop_after: float = 0.0,
        reset_before: float = 0.0,
        reset_after: float = 0.0,
        error_before: float = 0.0,
        error_after: float = 0.0,
        slow: float = 0.0,
        throttle: float = 0.0,
        bad_json: float = 0.0,
        html: float = 0.0,
        slow_seconds: float = 5.0,
        operations: Iterable[str] | None = None,
        script: Mapping[str, Sequence[str]] | None = None,
        seed: int = 0,
    ) -> None:
        cuts = drop_before, drop_after, reset_before, reset_after
        chances = (*cuts, error_before, error_after, slow, throttle, bad_json, html)
        if min(chances) < 0 or sum(chances) > 1:
            raise ConfigError("the chances of faults must be at least 0 each and at most 1 together")
        self.chances = dict(zip(KINDS, chances, strict=True))
        self.slow_seconds = slow_seconds
        self.operations = None if operations is None else tuple(operations)
        self.script = {name: tuple(words) for name, words in (script or {}).items()}
        self.seed = seed
        for words in self.script.values():
            for word in words:
                _fault(word, slow_seconds)
        self._targets: frozenset[str] = frozenset()
        self.restart()

    @classmethod
    def parse(cls, chances: Iterable[str], operations: Iterable[str], scripts: Iterable[str], seed: int = 0) -> Faults:
        """Read the command line's words.

        Args:
            chances: As in `drop-before=0.03,slow=0.01:20` (20 s late).
            operations: Names; none for the default.
            scripts: As in `messaging_v1.create_warranty=drop-after,ok,error-before:503`.
            seed: See the class.

        Raises:
            ConfigError: A word cannot be read.
        """
        likely: dict[str, float] = {}
        seconds = 5.0
        for item in filter(None, (item.strip() for text in chances for item in text.split(","))):
            kind, _, figure = item.partition("=")
            if kind not in KINDS:
                raise ConfigError(f"unknown fault {kind!r}; there are {', '.join(KINDS)}")
            chance, colon, late = figure.partition(":")
            likely[kind.replace("-", "_")] = _number(item, chance)
            if colon:
                seconds = _number(item, late)
        script = {}
        for text in scripts:
            name, _, words = text.partition("=")
            script[name] = words.split(",")
        return cls(
            slow_seconds=seconds,
            operations=tuple(operations) or None,
            script=script,
            seed=seed,
            **likely,
        )

    def arguments(self) -> list[str]:
        """Give the command line's words that `parse` would read back."""
        words = []
        for kind, chance in self.chances.items():
            if chance:
                words += ["--fault", f"{kind}={chance!r}" + (f":{self.slow_seconds!r}" if kind == "slow" else "")]
        for name in self.operations or ():
            words += ["--fault-on", name]
        for name, script in self.script.items():
            words += ["--script", f"{name}={','.join(script)}"]
        return [*words, "--seed", str(self.seed)]

    def aim(self, operations: Iterable[Operation]) -> None:
        """Learn which operations there are.

        Raises:
            ConfigError: A name means none of them.
        """
        operations = tuple(operations)
        for name in self.script:
            select(name, operations)
        if self.operations is None:
            self._targets = frozenset(
                operation.key
                for operation in operations
                if operation.method == "POST" and operation.path.startswith(("/messaging/", "/solicitations/"))
            )
        else:
            self._targets = frozenset(key for name in self.operations for key in select(name, operations))

    def restart(self) -> None:
        """Begin again: the seed's first number, the first word of each script."""
        self._random = Random(self.seed)
        self._left = {name: iter(words) for name, words in self.script.items()}

    def draw(self, key: str) -> Fault | None:
        """Say what happens to the next call of an operation; None for nothing out of the ordinary."""
        if key in self._left:
            word = next(self._left[key], None)
            if word is not None:
                return _fault(word, self.slow_seconds)
        if key not in self._targets:
            return None
        point = self._random.random()
        for kind, chance in self.chances.items():
            if point < chance:
                return Fault(kind, self._random.choice(_STATUSES), self.slow_seconds)
            point -= chance
        return None


def _fault(word: str, slow_seconds: float) -> Fault | None:
    kind, colon, figure = word.partition(":")
    if word == _OK:
        return None
    if kind not in KINDS:
        raise ConfigError(f"unknown fault {word!r} in a script; there are {', '.join((_OK, *KINDS))}")
    number = _number(word, figure) if colon else None
    if kind == "slow":
        return Fault(kind, seconds=slow_seconds if number is None else number)
    return Fault(kind, status=500 if number is None else int(number))


def _number(item: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"{item!r} holds no number") from None
