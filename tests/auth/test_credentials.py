"""Credentials: from arguments or the environment, never shown."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone

import anyio
import anyio.lowlevel
import pytest

from spapi_async.auth import ClientSecret, Credentials, digest
from spapi_async.errors import AuthError, ConfigError
from spapi_async.events import ClientSecretExpires, Event

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


class TestClientSecret:
    @pytest.fixture
    def events(self) -> list[Event]:
        return []

    @pytest.fixture
    def now(self) -> list[datetime]:
        return [datetime(2026, 7, 1, tzinfo=UTC)]

    @pytest.fixture
    def make(self, events: list[Event], now: list[datetime]) -> Callable[..., ClientSecret]:
        return lambda value="old", **options: ClientSecret(value, emit=events.append, now=lambda: now[0], **options)

    def test_its_end_is_told_in_time(
        self, make: Callable[..., ClientSecret], events: list[Event], now: list[datetime]
    ) -> None:
        """From three weeks before its 180 days are over, at most once a day, and beyond; a swap ends it."""
        secret = make(created=date(2026, 2, 1))  # it expires on 31 July
        now[0] = datetime(2026, 7, 9, 23, 59, tzinfo=UTC)
        secret.check_age()
        assert not events
        for _ in range(48):
            now[0] += timedelta(hours=1)
            secret.check_age()
        assert events == [
            ClientSecretExpires(expires_at=datetime(2026, 7, 31, tzinfo=UTC), days_left=pytest.approx(days, abs=0.1))
            for days in (21, 20)
        ]
        now[0] = datetime(2026, 8, 2, tzinfo=UTC)
        secret.check_age()
        assert events[-1].days_left == -2  # type: ignore[attr-defined]
        secret.swap("new", now[0])
        now[0] += timedelta(days=100)
        secret.check_age()
        assert len(events) == 3

    def test_without_a_date_nothing_is_told(
        self, make: Callable[..., ClientSecret], events: list[Event], now: list[datetime]
    ) -> None:
        """How old a secret is cannot be asked, so without its date there is no warning."""
        secret = make()
        now[0] += timedelta(days=400)
        secret.check_age()
        assert not events

    def test_when_it_was_made(self, make: Callable[..., ClientSecret]) -> None:
        """A date counts from midnight UTC, a datetime in its zone; one without a zone is refused."""
        assert make(created=date(2026, 2, 1)).created == datetime(2026, 2, 1, tzinfo=UTC)
        there = timezone(timedelta(hours=2))
        assert make(created=datetime(2026, 2, 1, 1, tzinfo=there)).created == datetime(2026, 1, 31, 23, tzinfo=UTC)
        with pytest.raises(ConfigError, match="time zone"):
            make(created=datetime(2026, 2, 1))

    def test_a_wrong_one_changes_nothing(self, make: Callable[..., ClientSecret]) -> None:
        """A new secret with white space at an end, or a date that cannot be, is refused, and the old one stays."""
        secret = make()
        with pytest.raises(ConfigError, match="client_secret"):
            secret.swap("new ", None)
        for created in (datetime(2026, 2, 1), "2026-02-01"):
            with pytest.raises(ConfigError, match="time zone"):
                secret.swap("new", created)  # type: ignore[arg-type]
        assert secret.value == "old"

    @pytest.mark.anyio
    @pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
    async def test_it_is_loaded_anew_once(self, make: Callable[..., ClientSecret], anyio_backend: str) -> None:
        """Many who find it refused load it once; if it is still the same, nobody loads again until it is swapped."""
        kept = ["new"]
        loads: list[str] = []

        async def load() -> str:
            await anyio.lowlevel.checkpoint()
            loads.append(kept[0])
            return kept[0]

        secret = make(load=load)
        secret.refusal = AuthError("no", code="invalid_client", is_permanent=True)
        got: list[bool] = []

        async def renew() -> None:
            got.append(await secret.renew("old"))

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(renew)
        assert (got, loads, secret.value, secret.refusal) == ([True] * 5, ["new"], "new", None)
        assert [await secret.renew("new") for _ in range(3)] == [False] * 3
        assert loads == ["new", "new"]

    @pytest.mark.anyio
    @pytest.mark.parametrize("anyio_backend", ["asyncio"])
    async def test_a_failing_load_is_no_other_secret(
        self, make: Callable[..., ClientSecret], anyio_backend: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Where it cannot be loaded the refusal stands; the log names the error, without its words."""

        async def load() -> str:
            raise OSError("the-secret")

        assert not await make(load=load).renew("old")
        assert "load_client_secret failed: OSError" in caplog.text
        assert "the-secret" not in caplog.text
