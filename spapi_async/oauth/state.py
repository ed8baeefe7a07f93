"""The `state` that goes to Amazon and comes back: made and checked without a store. Pure.

It says when it was made, holds a random number that names it, and is signed together with a value of the user's
session. So whoever brings it back in time, in the same session, is the one who was sent away with it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode

import attrs

from ..errors import AlteredCallbackError, ExpiredStateError, WrongStateError

__all__ = ["AHEAD", "Signer", "State", "make_state", "read_state"]

AHEAD = 60.0
"""Seconds that the clocks of two machines, one making a state and one checking it, may differ by."""

# When, in whole seconds, hexadecimal; which, 16 random bytes; for whom, a digest or nothing; the signature.
_FORM = re.compile(r"([0-9a-f]{1,12})\.([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})?\.([A-Za-z0-9_-]{43})").fullmatch
# So that no other text that is signed with the same key is a state.
_PURPOSE = b"spapi_async oauth state 1\n"


@attrs.frozen(kw_only=True)
class State:
    """A state that was checked.

    Args:
        name: Names it among all others; it is no secret once it has come back.
        issued_at: When it was made, in seconds since 1970.
        partner: A digest of the selling partner that it was made for; "" for any.
    """

    name: str
    issued_at: float
    partner: str = ""

    def check_partner(self, selling_partner_id: str) -> None:
        """Compare with who came back.

        Raises:
            AlteredCallbackError: The state was made for another selling partner.
        """
        if self.partner and not hmac.compare_digest(self.partner, _digest(selling_partner_id)):
            raise AlteredCallbackError("selling_partner_id is not the one that was sent to Amazon with this state")


@attrs.frozen
class Signer:
    """Signs for one session, and shows neither key nor session: our frames hold no plain one while errors are raised.

    Args:
        key: Signs.
        session: What states are bound to.
    """

    key: bytes = attrs.field(repr=False)
    session: str = attrs.field(repr=False)

    def sign(self, payload: str) -> str:
        """Give the signature of a state's other parts."""
        # A digest of the session, since its own text could hold whatever separates it from the payload.
        message = _PURPOSE + payload.encode() + b"\n" + _sha256(self.session)
        return _text(hmac.digest(self.key, message, "sha256"))


def make_state(signer: Signer, *, now: float, nonce: bytes, selling_partner_id: str | None = None) -> str:
    """Make a state.

    Args:
        signer: Of the session that it is bound to.
        now: Seconds since 1970.
        nonce: 16 random bytes.
        selling_partner_id: Whom it is for, where that is known.
    """
    partner = _digest(selling_partner_id) if selling_partner_id else ""
    payload = f"{int(now):x}.{_text(nonce)}.{partner}"
    return f"{payload}.{signer.sign(payload)}"


def read_state(signer: Signer, state: str, *, now: float, lifetime: float) -> State:
    """Check a state that came back.

    Args:
        signer: Of the session that it must be bound to.
        state: As it came.
        now: Seconds since 1970.
        lifetime: Seconds that it is valid.

    Raises:
        WrongStateError: It was not made with this key for this session, or not left as it was made.
        ExpiredStateError: It is too old.
    """
    found = _FORM(state)
    if found is None:
        raise WrongStateError("the state is none of ours")
    # Of the text, not of the bytes behind it: several texts stand for the same bytes.
    if not hmac.compare_digest(signer.sign(state.rpartition(".")[0]), found[4]):
        raise WrongStateError("the state is not ours, or belongs to another session")
    issued_at = float(int(found[1], 16))
    if not issued_at - AHEAD <= now <= issued_at + lifetime:
        raise ExpiredStateError(f"the state is older than {lifetime:g} s, or made by a clock that is ahead of ours")
    return State(name=found[2], issued_at=issued_at, partner=found[3] or "")


def _digest(text: str) -> str:
    return _text(_sha256(text))


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _text(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode("ascii")
