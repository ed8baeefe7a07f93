"""A selling partner's consent to your application, over Amazon's pages: from the link to the refresh token.

    from spapi_async import oauth

    states = oauth.States(key)                                                  # once
    url = oauth.consent_url(app_id, marketplace=..., state=states.make(session_id), redirect_uri=...)
    callback = await oauth.parse_callback(str(request.url), states=states, session=session_id)
    authorisation = await oauth.exchange_code(application, callback, redirect_uri=...)

Who comes from the Selling Partner Appstore arrives at your login URI first: `parse_login`, `appstore_callback_url`.

Read in this order: `links` (what goes to Amazon), `query` (what comes from the browser), `state` and `states` (that
both belong together), `exchange` (the callback, and the code for the refresh token).
"""

from __future__ import annotations

from .exchange import Authorisation, Callback, exchange_code, parse_callback
from .links import AppstoreLogin, appstore_callback_url, consent_url, parse_login
from .query import Query
from .states import MemoryStateStore, States, StateStore

__all__ = [
    "AppstoreLogin",
    "Authorisation",
    "Callback",
    "MemoryStateStore",
    "Query",
    "StateStore",
    "States",
    "appstore_callback_url",
    "consent_url",
    "exchange_code",
    "parse_callback",
    "parse_login",
]
