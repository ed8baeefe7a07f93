"""The scheduler as one selling partner's client shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..operation import Call, Operation, Priority, Quota, UsagePlan
from .keys import Account
from .limiter import Scheduler
from .state import BucketState

__all__ = ["SellingPartnerScheduler"]


class SellingPartnerScheduler:
    """What keeps the calls of one selling partner within their usage plans.

    Args:
        scheduler: The application's.
        account: The selling partner's.
        find: Finds an operation by its name, or raises `ConfigError`.
    """

    def __init__(self, scheduler: Scheduler, account: Account, find: Callable[[str], Operation]) -> None:
        self._scheduler = scheduler
        self._account = account
        self._find = find

    def snapshot(self) -> list[BucketState]:
        """Return the state of every bucket in use that the calls of this selling partner pass, by operation.

        A bucket that was full and not used for a minute or two may be forgotten; a call then begins a new one.
        """
        return self._scheduler.snapshot(self._account)

    def plan(self, operation: Operation | str) -> UsagePlan:
        """Return the usage plan in use for an operation: Amazon's word, where it has told, else yours or the built-in.

        Args:
            operation: As in `orders_v0.get_orders`.

        Raises:
            ConfigError: There is no operation of that name.
        """
        known = self._find(operation) if isinstance(operation, str) else operation
        return self._scheduler.plan(self._account, known)

    def estimate(
        self,
        operation: Operation | str,
        n: int = 1,
        *,
        priority: Priority = Priority.NORMAL,
        quotas: Iterable[Quota] = (),
    ) -> float:
        """Tell how long `n` more calls would take: the seconds until the last of them has its turn.

        By the usage plan and pace in use now, the tokens there are and the calls that wait already; if nothing else
        comes. The exchanges themselves take their time besides.

        Args:
            operation: As in `orders_v0.get_orders`.
            n: How many.
            priority: Of these calls: more urgent ones that wait go before them.
            quotas: What they count against beside the usage plan.

        Raises:
            ConfigError: There is no operation of that name.
        """
        if n < 1:
            return 0.0
        known = self._find(operation) if isinstance(operation, str) else operation
        call = Call(operation=known, path="", priority=priority, quotas=tuple(quotas))
        return self._scheduler.estimate(self._account, call, n)

    def learned_plans(self) -> dict[str, UsagePlan]:
        """Return the usage plans whose rate Amazon has told, by operation.

        Keep them, and hand them to `Application.selling_partner` or `SellingPartner` as `learned_plans=` next time: so
        a process that starts need not find out anew.
        """
        return self._scheduler.learned_plans(self._account)
