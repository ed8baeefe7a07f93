"""When a call may go out: Amazon's usage plans, kept on this side of the wire so that 429s hardly ever happen.

Read in this order: `keys` (which calls share a bucket), `bucket` (the arithmetic), `share` (how much of a plan is
ours), `queue` (who goes next), `limiter` (the driver: waits, learns from replies, and is the throttling stage of the
way through).
"""

from .bucket import Bucket
from .keys import Account, BucketKey
from .limiter import BucketState, Scheduler, current_time
from .queue import Queue, Ticket

__all__ = ["Account", "Bucket", "BucketKey", "BucketState", "Queue", "Scheduler", "Ticket", "current_time"]
