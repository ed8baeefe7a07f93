"""What a client is set up with."""

import httpx
import pytest

from spapi_async import AwsCredentials, ConfigError, Marketplace, Region, UsagePlan
from spapi_async.apis import catalog
from spapi_async.config import ClientConfig, find_operation

KEYS = AwsCredentials(access_key_id="AKIDEXAMPLE", secret_access_key="hunter2")


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({"region": Region.EU}, "https://sellingpartnerapi-eu.amazon.com"),
        ({"region": "NA"}, "https://sellingpartnerapi-na.amazon.com"),
        ({"marketplace": Marketplace.JP}, "https://sellingpartnerapi-fe.amazon.com"),
        ({"marketplace": "A1PA6795UKMFR9"}, "https://sellingpartnerapi-eu.amazon.com"),
        ({"marketplace": Marketplace.DE, "region": Region.EU}, "https://sellingpartnerapi-eu.amazon.com"),
        ({"region": Region.NA, "sandbox": True}, "https://sandbox.sellingpartnerapi-na.amazon.com"),
        ({"endpoint": "http://127.0.0.1:8900/"}, "http://127.0.0.1:8900"),
        ({"endpoint": "https://proxy.example/spapi", "region": Region.EU}, "https://proxy.example/spapi"),
    ],
)
def test_where_calls_go(options: dict[str, object], url: str) -> None:
    """The region, the marketplace that implies it, or an endpoint of your own says where calls go."""
    assert ClientConfig(**options).url == url


@pytest.mark.parametrize(
    ("options", "region"),
    [
        ({"region": Region.NA}, "us-east-1"),
        ({"marketplace": Marketplace.DE}, "eu-west-1"),
        ({"region": Region.FE, "endpoint": "https://proxy.example"}, "us-west-2"),
        ({"endpoint": "https://sandbox.sellingpartnerapi-fe.amazon.com/"}, "us-west-2"),
        ({"endpoint": "http://localhost", "aws_region": "eu-central-1"}, "eu-central-1"),
        ({"region": Region.NA, "aws_region": "eu-central-1"}, "eu-central-1"),
    ],
)
def test_what_calls_are_signed_for(options: dict[str, object], region: str) -> None:
    """The AWS region is the one given, else that of Amazon's region, however that is told."""
    assert ClientConfig(aws=KEYS, **options).signing_region == region


@pytest.mark.parametrize(
    ("options", "cure"),
    [
        ({}, "one of region=, marketplace= or endpoint= is needed"),
        ({"region": "emea"}, "must be one of na, eu, fe"),
        ({"marketplace": "XX"}, "not known; give region="),
        ({"marketplace": Marketplace.US, "region": Region.EU}, "in region na, but region is eu"),
        ({"endpoint": "127.0.0.1:8900"}, "endpoint must be a URL"),
        ({"endpoint": "http://user:hunter2@proxy"}, "endpoint must be a URL"),
        ({"endpoint": "http://:hunter2@proxy"}, "endpoint must be a URL"),
        ({"endpoint": "http://[proxy"}, "endpoint must be a URL"),
        ({"endpoint": "http://proxy:eighty"}, "endpoint must be a URL"),
        ({"endpoint": "http://proxy:80 "}, "endpoint must be a URL"),
        ({"region": Region.EU, "lwa_endpoint": "auth/o2/token"}, "lwa_endpoint must be a URL"),
        ({"region": Region.EU, "token_store": "tokens.json"}, "token_store must be a TokenStore, not of type str"),
        ({"region": Region.EU, "token_store": {}}, "token_store must be a TokenStore, not of type dict"),
        ({"region": Region.EU, "load_client_secret": "s"}, "load_client_secret must be an async function"),
        ({"region": Region.EU, "client_secret_created": "2026"}, "client_secret_created must be a date"),
        ({"endpoint": "http://localhost", "sandbox": True}, "Amazon's own sandbox"),
        ({"endpoint": "http://localhost", "aws": KEYS}, "needs aws_region="),
        ({"region": Region.EU, "aws_region": "eu west"}, "aws_region must be the name of an AWS region"),
        ({"region": Region.EU, "user_agent_attributes": {"Host": 1}}, "a mapping from text to text, not of type int"),
    ],
)
def test_mistakes_show_before_the_first_call(options: dict[str, object], cure: str) -> None:
    """A missing, unknown or contradicting option is one clear error; it shows no password."""
    with pytest.raises(ConfigError, match=cure) as caught:
        ClientConfig(**options)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("region", 1),
        ("marketplace", 1),
        ("sandbox", "no"),
        ("endpoint", b"http://localhost"),
        ("lwa_endpoint", 1),
        ("aws", ("AKID", "hunter2")),
        ("aws_region", 1),
        ("user_agent_attributes", "Host=x"),
        ("transport", httpx.AsyncClient),
        ("timeout", 5.0),
        ("timeout", None),
        ("retry", 3),
        ("middleware", None),
        ("middleware", ["stage"]),
        ("on_event", "print"),
        ("plans", [UsagePlan(1, 1)]),
        ("plans", {"orders_v0.get_orders": 0.5}),
        ("application_name", 1),
        ("application_version", 2.1),
    ],
)
def test_a_wrong_type_is_told_at_once(option: str, value: object) -> None:
    """An option of a wrong type is an error that names it, when the client is made and not in the middle of a call."""
    with pytest.raises(ConfigError, match=option):
        ClientConfig(**{"region": Region.EU, option: value})


def test_a_misspelt_plan_is_refused() -> None:
    """A plan for an operation that does not exist would silently change nothing, so it is an error with a hint."""
    with pytest.raises(ConfigError, match=r"plans: .* 'orders_v0\.get_ordrs'; did you mean 'orders_v0\.get_orders'\?"):
        find_operation("orders_v0.get_ordrs", catalog("orders_v0"), "plans")


@pytest.mark.parametrize("rate", [0, -1.0, float("nan"), float("inf")])
def test_an_application_rate_is_a_number_or_none(rate: float) -> None:
    """The limit of an application is a finite number above 0, or None for none."""
    with pytest.raises(ConfigError, match="application_rates"):
        ClientConfig(region="eu", application_rates={"orders_v0.get_order": rate})
    assert ClientConfig(region="eu", application_rates={"orders_v0.get_order": None}).application_rates


def test_a_queue_has_room() -> None:
    """`max_queue` is at least 1, else no call could ever wait."""
    with pytest.raises(ConfigError, match="max_queue"):
        ClientConfig(region="eu", max_queue=0)
