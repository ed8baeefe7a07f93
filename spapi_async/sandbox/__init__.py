"""A Selling Partner API on this machine that behaves as Amazon's does: for tests, demonstrations and benchmarks.

It shares no code with the client: no codec, no scheduler, no transport. Read `app`, which holds the stages in their
order, then `tokens`, `checks`, `messaging` and `consent`. `answers` makes the replies that nothing better answers,
`server` and `process` put it on a port.
"""

from __future__ import annotations

from .app import Sandbox
from .consent import Registration
from .faults import Faults
from .process import SandboxProcess, start_process

__all__ = ["Faults", "Registration", "Sandbox", "SandboxProcess", "start_process"]
