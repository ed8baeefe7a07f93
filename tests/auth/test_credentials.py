"""Credentials: from arguments or the environment, never shown."""

import pytest

from spapi_async.auth import Credentials, digest
from spapi_async.errors import ConfigError

OURS = {"SPAPI_CLIENT_ID": "app", "SPAPI_CLIENT_SECRET": "s3cret", "SPAPI_REFRESH_TOKEN": "Atzr|token"}
OTHERS = {"LWA_APP_ID": "app2", "LWA_CLIENT_SECRET": "s3cret2", "SP_API_REFRESH_TOKEN": "Atzr|token2"}


def test_from_our_variables() -> None:
    """Our own names go before those of other clients."""
    credentials = Credentials.from_env({**OTHERS, **OURS})
    assert credentials == Credentials(client_id="app", client_secret="s3cret", refresh_token="Atzr|token")


def test_from_the_names_users_already_have() -> None:
    """The names of other clients work too."""
    assert Credentials.from_env(OTHERS).client_id == "app2"


def test_missing_variables_are_all_named() -> None:
    """One error names everything that is missing, with both names of each."""
    with pytest.raises(ConfigError) as caught:
        Credentials.from_env({"SPAPI_CLIENT_ID": "app", "SPAPI_CLIENT_SECRET": ""}, also_missing=["SPAPI_REGION"])
    assert str(caught.value) == (
        "missing from the environment: SPAPI_CLIENT_SECRET or LWA_CLIENT_SECRET, "
        "SPAPI_REFRESH_TOKEN or SP_API_REFRESH_TOKEN, SPAPI_REGION"
    )


def test_secrets_do_not_show() -> None:
    """A repr holds neither the client secret nor the refresh token."""
    assert repr(Credentials.from_env(OURS)) == "Credentials(client_id='app')"


@pytest.mark.parametrize("wrong", [{"client_secret": ""}, {"client_id": " app"}, {"refresh_token": "Atzr|x\n"}])
def test_copying_slips_are_told(wrong: dict[str, str]) -> None:
    """An empty credential, or one with white space at an end, is an error that names the field and shows no value."""
    fields = {"client_id": "app", "client_secret": "s3cret", "refresh_token": "Atzr|token", **wrong}
    with pytest.raises(ConfigError, match=next(iter(wrong))) as caught:
        Credentials(**fields)
    assert "s3cret" not in str(caught.value)
    assert "Atzr" not in str(caught.value)


def test_a_wrong_type_is_told() -> None:
    """A credential that is no text is not called missing."""
    with pytest.raises(ConfigError, match="client_secret must be text, not of type bytes"):
        Credentials(client_id="app", client_secret=b"s3cret")


def test_a_digest_names_without_telling() -> None:
    """A digest is short, always the same, and differs between secrets."""
    assert digest("one") == digest("one") != digest("two")
    assert len(digest("one")) == 16
