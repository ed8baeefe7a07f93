"""Who sells, and how a journal recognises that without keeping a secret. Pure."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

import attrs
import orjson

from ..errors import JobError

__all__ = ["Identity", "body_bytes", "digest", "digests", "resolve"]


@attrs.frozen(kw_only=True)
class Identity:
    """Who sells: what makes the rows of one selling partner different from those of another.

    Args:
        refresh_token: Its refresh token. The journal keeps a keyed digest only.
        selling_partner_id: Its id, if you give one. Then a new refresh token does not make it a stranger.
    """

    refresh_token: str = attrs.field(repr=False)
    selling_partner_id: str | None = None


def body_bytes(body: Mapping[str, str]) -> bytes:
    """Write a row's columns as JSON, always the same for the same columns."""
    return orjson.dumps(dict(body), option=orjson.OPT_SORT_KEYS)


def digest(salt: bytes, content: bytes) -> bytes:
    """Digest content so that it can be recognised, but not guessed without the journal's salt."""
    return hmac.digest(salt, content, hashlib.sha256)


def digests(salt: bytes, identity: Identity) -> tuple[str, str | None]:
    """Return the digests of a selling partner's refresh token and of its id, each for its own purpose."""
    name = identity.selling_partner_id
    token = digest(salt, b"token:" + identity.refresh_token.encode()).hex()
    return token, digest(salt, b"id:" + name.encode()).hex() if name else None


def resolve(
    known: Mapping[str, bool], token: str, named: str | None, same: bool, last: str | None = None
) -> tuple[str, str | None]:
    """Decide under which digest a selling partner's rows stand.

    A selling partner that authorises the application anew gets a new refresh token. Taken for a stranger, all its
    buyers would be written to again; so a token that the journal has not seen is a question, not an answer.

    Args:
        known: The digests under which something was done; True for that of an id, False for that of a refresh token.
        token: The digest of the refresh token.
        named: The digest of the selling partner's id; None when none was given.
        same: A person says that it is the same selling partner.
        last: The digest of the id whose refresh token this was last; None if it was nobody's. One that is given
            another name, or none, is no stranger.

    Returns:
        The digest to use, and the one whose rows are to be moved to it, if any.

    Raises:
        JobError: It cannot be decided.
    """
    mine = named or token
    if mine in known:
        return mine, None
    if last is not None:
        return (mine, last) if named else (last, None)
    if known.get(token) is False:
        return mine, token  # it has got a name since
    strangers = [other for other, is_named in known.items() if not (is_named and named)]
    if not strangers:
        return mine, None
    if same and len(strangers) == 1:
        return mine, strangers[0]
    raise JobError(
        "the journal was begun with another refresh token, or under a selling partner id. If it is the same selling "
        "partner, go on with that id, or with --same-selling-partner; for another one, or for another sandbox, take "
        "another journal"
    )
