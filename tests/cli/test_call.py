from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from spapi_async import SellingPartner
from spapi_async.apis import catalog
from spapi_async.cli import call as command, main
from spapi_async.cli.flags import flag_of
from spapi_async.retry import RetryPolicy
from spapi_async.sandbox import SandboxProcess, start_process

ORDER = "902-1845936-5435065"
DE = "A1PA6795UKMFR9"
MESSAGE = ["messaging_v1.create_confirm_order_details", "--amazon-order-id", ORDER, "--marketplace-ids", DE]
SECRET = "a-secret-of-the-test"


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxProcess]:
    with start_process() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(server: SandboxProcess, monkeypatch: pytest.MonkeyPatch) -> SandboxProcess:
    server.reset()
    monkeypatch.setenv("SPAPI_CLIENT_ID", "id")
    monkeypatch.setenv("SPAPI_CLIENT_SECRET", SECRET)
    monkeypatch.setenv("SPAPI_REFRESH_TOKEN", "Atzr|SELLER1")
    monkeypatch.setenv("SPAPI_ENDPOINT", server.endpoint)
    monkeypatch.setenv("SPAPI_LWA_ENDPOINT", server.lwa_endpoint)
    return server


Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def amazon(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answer], list[httpx.Request]]:
    """Put a function in the place of Amazon; it returns the list of the requests that will come."""

    def put(answer: Answer) -> list[httpx.Request]:
        requests: list[httpx.Request] = []

        def handle(request: httpx.Request) -> httpx.Response:
            if request.url.path == "/auth/o2/token":
                return httpx.Response(200, json={"access_token": "Atza|1", "expires_in": 3600})
            requests.append(request)
            return answer(request)

        def client_of(_: object, options: Any) -> SellingPartner:
            return SellingPartner(
                client_id="id",
                client_secret=SECRET,
                refresh_token="Atzr|1",
                endpoint="http://amazon",
                lwa_endpoint="http://amazon/auth/o2/token",
                transport=httpx.MockTransport(handle),
                **options,
            )

        monkeypatch.setattr(command, "client_of", client_of)
        return requests

    return put


def test_the_reply_is_all_there_is_on_standard_output(
    sandbox: SandboxProcess, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Elsewhere than on a terminal, the reply is one line of compact JSON."""
    assert main(["call", "sellers_v1.get_account"]) == 0
    out, err = capfdbinary.readouterr()
    assert json.loads(out)["payload"]
    assert out.count(b"\n") == 1
    assert b'": ' not in out
    assert not err


def test_on_a_terminal_it_is_indented(
    sandbox: SandboxProcess, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader gets a line for each member."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["call", "sellers_v1.getAccount"]) == 0
    assert capfdbinary.readouterr().out.startswith(b'{\n  "payload": {\n    "')


def test_nothing_is_lost_on_the_way(
    amazon: Callable[[Answer], list[httpx.Request]], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Numbers, escapes, letters and unknown fields are printed as Amazon sent them."""
    body = '{"payload":{"a":1.10,"b":12345678901234567890123,"c":"\\u00e9é"},"new":[]}'.encode()
    amazon(lambda _: httpx.Response(200, content=body))
    assert main(["call", "orders_v0.get_order", "--order-id", ORDER]) == 0
    assert capfdbinary.readouterr().out == body + b"\n"


def test_include(sandbox: SandboxProcess, capfd: pytest.CaptureFixture[str]) -> None:
    """`--include` tells status, request id and rate limit beside the reply."""
    assert main(["call", "sellers_v1.get_account", "--include"]) == 0
    status, request_id, rate = capfd.readouterr().err.splitlines()
    assert status == "HTTP 200"
    assert request_id.startswith("x-amzn-RequestId: ")
    assert rate == "x-amzn-RateLimit-Limit: 0.016"


def test_refused_by_amazon(sandbox: SandboxProcess, capfd: pytest.CaptureFixture[str]) -> None:
    """The status is 1; the operation, Amazon's words and the request id are told, and whether to repeat it."""
    assert main(["call", "orders_v0.get_order", "--order-id", "000-0000404-0000001"]) == 1
    out, err = capfd.readouterr()
    assert not out
    assert "orders_v0.get_order: 404 NotFound" in err
    assert "request id" in err
    assert "safe to repeat: no" in err


def test_errors_in_a_reply_that_looks_like_success(
    amazon: Callable[[Answer], list[httpx.Request]], capfd: pytest.CaptureFixture[str]
) -> None:
    """Some older operations fail with a 2xx status; that is a refusal too. Every error and its details are told."""
    errors = [{"code": "A", "message": "first"}, {"code": "B", "message": "second", "details": "why"}]
    amazon(lambda _: httpx.Response(200, json={"errors": errors}))
    assert main(["call", "orders_v0.get_order", "--order-id", ORDER]) == 1
    out, err = capfd.readouterr()
    assert not out
    assert "orders_v0.get_order: 200 " in err
    assert "A “first” (and 1 more)" in err
    assert err.endswith("\n  B: second (why)\n")


def test_a_reply_that_is_no_json(
    amazon: Callable[[Answer], list[httpx.Request]], capfd: pytest.CaptureFixture[str]
) -> None:
    """What came is printed, and the status says that it is not what it should be."""
    amazon(lambda _: httpx.Response(200, content=b"<html>"))
    assert main(["call", "orders_v0.get_order", "--order-id", ORDER]) == 1
    out, err = capfd.readouterr()
    assert out == "<html>\n"
    assert "no JSON" in err


def test_no_reply_body(sandbox: SandboxProcess, capfd: pytest.CaptureFixture[str]) -> None:
    """Where Amazon sends nothing, nothing is printed."""
    assert main(["call", "reports_2021_06_30.cancel_report", "--report-id", "1"]) == 0
    assert capfd.readouterr().out == ""


def test_the_outcome_is_unknown(
    amazon: Callable[[Answer], list[httpx.Request]], capfd: pytest.CaptureFixture[str]
) -> None:
    """An unsafe call that got no certain answer is not repeated, and that is told."""
    requests = amazon(lambda _: httpx.Response(503))
    assert main(["call", *MESSAGE, "--body", '{"text":"hi"}']) == 1
    assert "safe to repeat: no" in capfd.readouterr().err
    assert len(requests) == 1


def test_ctrl_c(amazon: Callable[[Answer], list[httpx.Request]], capfd: pytest.CaptureFixture[str]) -> None:
    """The status is 130; of an unsafe call it is told that it may have been done."""

    def interrupt(_: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    amazon(interrupt)
    assert main(["call", *MESSAGE, "--body", '{"text":"hi"}']) == 130
    assert "ask Amazon for the state before you repeat it" in capfd.readouterr().err
    assert main(["call", "sellers_v1.get_account"]) == 130
    assert capfd.readouterr().err == "spapi-async: interrupted\n"


def test_bodies(
    sandbox: SandboxProcess, capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body is given as text, in a file, or on standard input."""
    file = tmp_path / "body.json"
    file.write_text('\ufeff{"text": "zwei"}', encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"text": "drei"}')))
    for body in ('{"text": "eins"}', f"@{file}", "-"):
        assert main(["call", *MESSAGE, "--body", body]) == 0
    assert [message["text"] for message in sandbox.messages()] == ["eins", "zwei", "drei"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("{", "--body is no JSON: Expecting property name enclosed in double quotes at line 1, column 2"),
        ('{"text": NaN}', "--body is no JSON: it holds NaN"),
        ("[" * 100_000, "--body is nested too deeply"),
        ("@/nowhere/at-all", "--body cannot be read"),
        ('{"text": ""}', "body.text has 0 characters, and needs at least 1"),
        ("5", "--body must be"),
    ],
)
def test_bodies_that_are_wrong(body: str, words: str, capfd: pytest.CaptureFixture[str]) -> None:
    """They are told before anything is sent, without what they hold."""
    assert main(["call", *MESSAGE, "--body", body]) == 2
    assert words in capfd.readouterr().err


def test_all_that_is_wrong_is_told_by_flag(capfd: pytest.CaptureFixture[str]) -> None:
    """Every argument that is missing or wrong is named by its flag, in one go and without credentials."""
    words = ["--page-size", "many", "--created-since", "2026-01-01T00:00:00Z", "--marketplace-ids", *["A"] * 11]
    assert main(["call", "reports_2021_06_30.get_reports", *words]) == 2
    assert capfd.readouterr().err.splitlines() == [
        "spapi-async: reports_2021_06_30.get_reports was not called:",
        "  --page-size must be a whole number",
        "  --marketplace-ids has 11 items, and may have at most 10",
    ]
    assert main(["call", "messaging_v1.get_attributes"]) == 2
    assert capfd.readouterr().err.splitlines()[1:] == [
        "  --amazon-order-id is required",
        "  --marketplace-ids is required",
    ]


def test_no_validate(sandbox: SandboxProcess, capfd: pytest.CaptureFixture[str]) -> None:
    """`--no-validate` leaves the judgement to Amazon; a path with a hole in it cannot be sent all the same."""
    words = ["--page-size", "many", "--no-validate"]
    assert main(["call", "reports_2021_06_30.get_reports", *words]) == 1
    assert "400 InvalidInput" in capfd.readouterr().err
    assert main(["call", "reports_2021_06_30.get_report", "--no-validate"]) == 2
    assert "--report-id is required" in capfd.readouterr().err


def test_arguments_on_the_wire(amazon: Callable[[Answer], list[httpx.Request]]) -> None:
    """Arrays take several values or a repeated flag; numbers, booleans and times are sent as they are given."""
    requests = amazon(lambda _: httpx.Response(200, json={}))
    words = [
        "--marketplace-ids",
        "A",
        "B",
        "--marketplace-ids",
        "C",
        "--is-ispu",
        "true",
        "--max-results-per-page",
        "5",
    ]
    words += ["--created-after", "2026-01-01T00:00:00Z"]
    assert main(["call", "orders_v0.get_orders", *words]) == 0
    words = ["--shipment-id", "x/y", "--package-client-reference-id", "-1", "--dpi", "300.50", "--format=-x"]
    assert main(["call", "shipping_v2.get_shipment_documents", *words]) == 0
    assert [request.url.raw_path.decode() for request in requests] == [
        "/orders/v0/orders?MarketplaceIds=A%2CB%2CC&CreatedAfter=2026-01-01T00%3A00%3A00Z&MaxResultsPerPage=5&IsISPU=true",
        "/shipping/v2/shipments/x%2Fy/documents?packageClientReferenceId=-1&format=-x&dpi=300.50",
    ]


def test_personal_data(sandbox: SandboxProcess, capfd: pytest.CaptureFixture[str]) -> None:
    """`--restricted` asks for buyers' data where a call can be without; `--no-rdt` never fetches a token for them."""
    order = ["orders_v0.get_order", "--order-id", ORDER]
    for words, names in (
        ([], set()),
        (["--restricted", "buyerInfo", "shippingAddress"], {"BuyerInfo", "ShippingAddress"}),
    ):
        assert main(["call", *order, *words]) == 0
        assert {"BuyerInfo", "ShippingAddress"} & json.loads(capfd.readouterr().out)["payload"].keys() == names
    document = ["reports_2021_06_30.get_report_document", "--report-document-id", "1", "--restricted", "true"]
    assert main(["call", *document]) == 0
    assert sandbox.requests()["operations"]["tokens_2021_03_01.create_restricted_data_token"] == {"200": 2}
    assert main(["call", "orders_v0.get_order_address", "--order-id", ORDER, "--no-rdt"]) == 1
    capfd.readouterr()
    assert main(["call", *order, "--restricted", "email"]) == 2
    assert "  --restricted holds 'email'; allowed are buyerInfo, shippingAddress" in capfd.readouterr().err
    with pytest.raises(SystemExit):
        main(["call", "orders_v0.get_order", "--help"])
    assert "--restricted TEXT" in capfd.readouterr().out


PAGES = {
    None: {"payload": {"Orders": [{"AmazonOrderId": "1", "new": 1.10}, {"AmazonOrderId": "2"}], "NextToken": "t"}},
    "t": {"payload": {"Orders": [], "NextToken": "u"}},
    "u": {"payload": {"Orders": [{"AmazonOrderId": "3"}]}},
}


def answer_pages(request: httpx.Request) -> httpx.Response:
    text = json.dumps(PAGES[request.url.params.get("NextToken")]).replace("1.1}", "1.10}")
    return httpx.Response(200, content=text.encode())


def test_all_pages(amazon: Callable[[Answer], list[httpx.Request]], capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """`--all-pages` prints each item on a line of its own, as Amazon sent it; else there is the first page."""
    requests = amazon(answer_pages)
    words = ["call", "orders_v0.get_orders", "--marketplace-ids", DE, "--created-after", "2026-01-01T00:00:00Z"]
    assert main([*words, "--all-pages"]) == 0
    assert capfdbinary.readouterr().out.splitlines() == [
        b'{"AmazonOrderId":"1","new":1.10}',
        b'{"AmazonOrderId":"2"}',
        b'{"AmazonOrderId":"3"}',
    ]
    assert [request.url.params.get("NextToken") for request in requests] == [None, "t", "u"]
    assert main(words) == 0
    assert json.loads(capfdbinary.readouterr().out)["payload"]["NextToken"] == "t"


def test_pages_of_parallel_lists(
    amazon: Callable[[Answer], list[httpx.Request]], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Where items lie in several lists side by side, a line is a page."""
    pages = iter([{"payload": {"FinancialEvents": {}, "NextToken": "t"}}, {"payload": {"FinancialEvents": {}}}])
    amazon(lambda _: httpx.Response(200, json=next(pages)))
    assert main(["call", "finances_v0.list_financial_events", "--all-pages"]) == 0
    assert len(capfdbinary.readouterr().out.splitlines()) == 2


def test_pages_where_there_are_none(capfd: pytest.CaptureFixture[str]) -> None:
    """Asking for the pages of an operation that has none is a mistake, told before anything is sent."""
    assert main(["call", "orders_v0.get_order", "--order-id", ORDER, "--all-pages"]) == 2
    assert "orders_v0.get_order has no pages" in capfd.readouterr().err


def test_withdrawn_operations(
    amazon: Callable[[Answer], list[httpx.Request]], capfd: pytest.CaptureFixture[str]
) -> None:
    """That an operation was withdrawn is told in one line, and it is called all the same."""
    amazon(lambda _: httpx.Response(200, json={}))
    assert main(["call", "catalog_items_v0.get_catalog_item", "--marketplace-id", DE, "--asin", "B0"]) == 0
    out, err = capfd.readouterr()
    assert out == "{}\n"
    assert err.startswith("spapi-async: catalog_items_v0.get_catalog_item is withdrawn by Amazon")
    assert err.count("\n") == 1


def test_a_sandbox_for_one_call(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`--sandbox` needs neither credentials nor anything that runs, and may stand before the operation."""
    for name in ("SPAPI_CLIENT_ID", "SPAPI_CLIENT_SECRET", "SPAPI_REFRESH_TOKEN", "SPAPI_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    assert main(["call", "--sandbox", "sellers_v1.get_account"]) == 0
    assert "payload" in json.loads(capfd.readouterr().out)
    assert main(["call", "sellers_v1.get_account", "--sandbox", "--endpoint", "http://x"]) == 2
    assert main(["call", "sellers_v1.get_account"]) == 2
    assert "missing from the environment: SPAPI_CLIENT_ID" in capfd.readouterr().err


def test_secrets_are_not_told(
    sandbox: SandboxProcess, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No output holds a secret or a token, whatever happens."""
    monkeypatch.setattr("spapi_async.client.LWA_POLICY", RetryPolicy(max_attempts=2, base_delay=0))
    main(["call", "sellers_v1.get_account", "--include"])
    main(["call", "sellers_v1.get_account", "--include", "--lwa-endpoint", "http://127.0.0.1:9/auth/o2/token"])
    out, err = capfd.readouterr()
    assert "no access token" in err
    assert SECRET not in out + err
    assert "Atz" not in out + err


def test_tokens_are_kept_where_the_user_says(
    sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With --token-file or $SPAPI_TOKEN_FILE the next run uses the same access token; without, each fetches one."""

    def asked() -> int:
        return sandbox.requests()["operations"]["/auth/o2/token"]["200"]

    before = asked() if main(["call", "sellers_v1.get_account"]) == 0 else -1
    file = tmp_path / "tokens.json"
    for words in (["--token-file", str(file)], ["--token-file", str(file)], []):
        assert main(["call", "sellers_v1.get_account", *words]) == 0
    assert asked() == before + 2
    monkeypatch.setenv("SPAPI_TOKEN_FILE", str(file))
    assert main(["call", "sellers_v1.get_account"]) == 0
    assert asked() == before + 2
    assert main(["call", "sellers_v1.get_account", "--sandbox", "--token-file", str(file)]) == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["orders_v0.get_ordr"], "did you mean orders_v0.get_order"),
        (["orders_v0.get_order", "--oder-id", "1"], "there is no --oder-id; did you mean --order-id?"),
        (["orders_v0.get_order", "1"], "1 belongs to no flag"),
        (["orders_v0.get_order", "--region", "mars"], "invalid choice: 'mars'"),
        ([], "OPERATION"),
    ],
)
def test_wrong_usage(words: list[str], told: str, capfd: pytest.CaptureFixture[str]) -> None:
    """What cannot be understood ends with status 2 and a hint."""
    try:
        status: object = main(["call", *words])
    except SystemExit as end:
        status = end.code
    assert status == 2
    assert told in capfd.readouterr().err


@pytest.mark.parametrize("operation", list(catalog()), ids=lambda operation: operation.key)
def test_help_of_every_operation(operation: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` lists a flag for each argument, with limits, and the operation's path and plan."""
    with pytest.raises(SystemExit) as end:
        main(["call", operation.key, "--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert f"{operation.method} {operation.path}" in out
    flags = [flag_of(parameter) for parameter in operation.parameters]
    assert len(set(flags)) == len(flags)
    for flag in flags:
        assert f"  {flag} " in out or f"  {flag}\n" in out
    own = {"--help", "--region", "--endpoint", "--lwa-endpoint", "--sandbox", "--all-pages", "--include"}
    assert not own & set(flags)


def test_help_tells_the_limits(capsys: pytest.CaptureFixture[str]) -> None:
    """Bounds, counts, formats and listed values are in the help."""
    for key in ("reports_2021_06_30.get_reports", "orders_v0.confirm_shipment"):
        with pytest.raises(SystemExit):
            main(["call", key, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "--page-size N 1 to 100" in text
    assert "--report-types TEXT [TEXT ...] 1 to 10 values" in text
    assert "one of CANCELLED, DONE, FATAL, IN_PROGRESS, IN_QUEUE; others are sent too" in text
    assert "--created-since TIME as in 2026-01-31T12:00:00Z" in text
    assert "ConfirmShipmentRequest with packageDetail (required), codCollectionMethod, marketplaceId (required)" in text
