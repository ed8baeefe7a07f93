"""AWS STS: gives out a role's temporary keys. By aiobotocore (extra `aws`), so on asyncio only."""

from __future__ import annotations

import asyncio
import logging
from contextvars import ContextVar
from datetime import datetime
from typing import Any

from ..errors import AuthError, ConfigError
from .aws import AwsCredentials, AwsRole

__all__ = ["Sts"]

_CONNECT, _READ, _TOTAL = 5.0, 10.0, 30.0  # seconds

# What to do about a refusal, by STS's code.
_ADVICE = {
    "AccessDenied": "allow the user or role behind the keys sts:AssumeRole on it, and name it in the role's trust "
    "policy, with the external id if that asks for one",
    "InvalidClientTokenId": "AWS does not know the access key id: it was deleted or deactivated, or mistyped",
    "SignatureDoesNotMatch": "the secret access key is not the one of the access key id, or this machine's clock is "
    "wrong",
    "ExpiredToken": "the session token of credentials= has expired: give newer keys",
    "RegionDisabledException": "activate STS for that region in the AWS account, or name another by region=",
    "ValidationError": "check role_arn, session_name and duration, which the role's own maximum bounds",
}
_PASSING = {"Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException", "RequestThrottled"}


class Sts:
    """Asks AWS STS for the keys of a role.

    Args:
        role: The role, and who asks.
        region: AWS region whose STS is asked, unless the role names one.

    Raises:
        ConfigError: aiobotocore is not installed.
    """

    def __init__(self, role: AwsRole, region: str) -> None:
        try:
            from aiobotocore.config import AioConfig  # type: ignore[import-untyped]
            from aiobotocore.session import get_session  # type: ignore[import-untyped]
        except ImportError as error:
            raise ConfigError("aws=AwsRole(...) needs aiobotocore: pip install 'spapi-async[aws]'") from error
        self._role = role
        self._region = role.region or region
        # Kept, since it holds botocore's description of STS: reading that takes longer than the call.
        self._session = get_session()
        # Repeats are ours, as with Login with Amazon: botocore's cannot be seen or ended.
        self._config = AioConfig(connect_timeout=_CONNECT, read_timeout=_READ, retries={"total_max_attempts": 1})

    async def assume(self) -> tuple[AwsCredentials, datetime]:
        """Ask once for keys; return them and when they expire.

        Raises:
            AuthError: STS refused, or could not be reached.
        """
        try:
            async with asyncio.timeout(_TOTAL):
                return _read(await self._call())
        except Exception as error:  # all: some of botocore's quote the whole answer, the new keys among it
            failure = self._failure(error)
        # Out here, so that botocore's own error, whose frames hold keys, does not travel with ours.
        raise failure

    async def _call(self) -> dict[str, Any]:  # Any: as botocore reads it
        role = self._role
        arguments = {"RoleArn": role.role_arn, "RoleSessionName": role.session_name, "DurationSeconds": role.duration}
        if role.external_id is not None:
            arguments["ExternalId"] = role.external_id
        client = self._session.create_client(
            "sts", region_name=self._region, endpoint_url=role.endpoint, config=self._config, **self._given()
        )
        token = _OURS.set(True)
        try:
            async with client as sts:
                _hush()
                answer: dict[str, Any] = await sts.assume_role(**arguments)
                return answer
        finally:
            _OURS.reset(token)

    def _given(self) -> dict[str, str | None]:
        keys = self._role.credentials
        if keys is None:
            return {}
        return {
            "aws_access_key_id": keys.access_key_id,
            "aws_secret_access_key": keys.secret_access_key,
            "aws_session_token": keys.session_token,
        }

    def _failure(self, error: Exception) -> AuthError:
        """Put into our words what botocore raised, without its own: some quote what was sent."""
        who = f"AWS STS gave none for {self._role.role_arn}"
        response: dict[str, Any] | None = getattr(error, "response", None)
        if not isinstance(response, dict):
            name = type(error).__name__
            is_permanent = "Credential" in name or name in {"ProfileNotFound", "ParamValidationError"}
            advice = "; give credentials=, or AWS keys where botocore looks for them" if is_permanent else ""
            return AuthError(f"{who}: {name}{advice}", is_permanent=is_permanent, missing="AWS keys")
        detail, metadata = response.get("Error", {}), response.get("ResponseMetadata", {})
        code, status = str(detail.get("Code", "")), metadata.get("HTTPStatusCode")
        is_passing = code in _PASSING or not isinstance(status, int) or status >= 500 or status == 429
        words = str(detail.get("Message", ""))
        if code == "SignatureDoesNotMatch" or self._has_secret(words):
            words = ""  # it tells what should have been signed, a session token among it
        advice = _ADVICE.get(code.removesuffix("Exception"), _ADVICE.get(code, ""))
        return AuthError(
            "; ".join(filter(None, [f"{who}: {words}" if words else who, advice])),
            code=code or None,
            status=status,
            request_id=metadata.get("RequestId"),
            is_permanent=not is_passing,
            missing="AWS keys",
        )

    def _has_secret(self, text: str) -> bool:
        keys = self._role.credentials
        return keys is not None and any(
            secret in text for secret in (keys.secret_access_key, keys.session_token) if secret
        )


def _read(answer: dict[str, Any]) -> tuple[AwsCredentials, datetime]:
    given = answer["Credentials"]
    keys = AwsCredentials(
        access_key_id=given["AccessKeyId"],
        secret_access_key=given["SecretAccessKey"],
        session_token=given["SessionToken"],
    )
    expires_at: datetime = given["Expiration"]
    return keys, expires_at


_OURS: ContextVar[bool] = ContextVar("spapi_async_sts", default=False)


class _Hush(logging.Filter):
    """Drops what botocore says at DEBUG about our own calls: it shows replies whole, the new secret key among it."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno > logging.DEBUG or not _OURS.get()


_HUSH = _Hush()


def _hush() -> None:
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and name.partition(".")[0] in {"botocore", "aiobotocore"}:
            logger.addFilter(_HUSH)  # again is harmless
