"""When a call may go out: Amazon's usage plans, kept on this side of the wire so that 429s hardly ever happen.

Read in this order: `keys` (which calls share a bucket), `bucket` (the arithmetic), `share` (how much of a plan is
ours), `queue` (who goes next), `lanes` (all buckets with their queues, and which of them a call passes), `limiter` (the
driver: waits, learns from replies, and is the throttling stage of the way through), `state` and `partner` (what is
shown of it).
"""

from .bucket import Bucket
from .keys import Account, BucketKey
from .limiter import Scheduler, current_time
from .partner import SellingPartnerScheduler
from .queue import Queue, Ticket
from .state import BucketState

__all__ = [
    "Account",
    "Bucket",
    "BucketKey",
    "BucketState",
    "Queue",
    "Scheduler",
    "SellingPartnerScheduler",
    "Ticket",
    "current_time",
]
