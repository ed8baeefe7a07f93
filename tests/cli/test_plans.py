from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest

from spapi_async import UsagePlan
from spapi_async.apis import catalog
from spapi_async.cli import main
from spapi_async.cli.catalogue import find_operation, find_operations, marks_of, plan_of
from spapi_async.errors import ConfigError


def rows(text: str) -> Iterator[dict[str, str]]:
    head, *lines = text.splitlines()
    for line in lines:
        yield dict(zip(head.split("\t"), line.split("\t"), strict=True))


def test_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    """Where no one reads along, there is a line of columns for each operation, with its plan and marks."""
    assert main(["plans"]) == 0
    found = list(rows(capsys.readouterr().out))
    assert [row["operation"] for row in found] == [operation.key for operation in catalog()]
    [row] = [row for row in found if row["operation"] == "orders_v0.get_orders"]
    assert row["path"] == "/orders/v0/orders"
    assert (row["rate"], row["burst"], row["source"]) == ("0.0167", "20", "model")
    assert row["marks"].startswith("restricted: optional; deprecated; role: Amazon Fulfillment, ")


def test_some_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    """Modules and operations can be named, by method or by Amazon's name; each is listed once."""
    names = ["sellers_v1", "messaging_v1.get_attributes", "orders_v0.getOrder", "sellers_v1.*"]
    assert main(["plans", *names]) == 0
    keys = [row["operation"] for row in rows(capsys.readouterr().out)]
    assert keys[-2:] == ["messaging_v1.get_attributes", "orders_v0.get_order"]
    assert keys[:-2] == [operation.key for operation in catalog("sellers_v1")]


def test_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    """`--json` gives all facts about an operation."""
    assert main(["plans", "--json", "notifications_v1.create_destination"]) == 0
    [facts] = json.loads(capsys.readouterr().out)
    assert facts["operation_id"] == "createDestination"
    assert facts["grantless_scope"] == "sellingpartnerapi::notifications"
    assert (facts["rate"], facts["burst"], facts["repeatable"]) == (1, 5, False)


@pytest.mark.parametrize("has_rich", [True, False])
def test_on_a_terminal(has_rich: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader gets headings, and slow rates in words too; without rich there is the same without bold."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    if not has_rich:
        monkeypatch.setitem(sys.modules, "rich.console", None)
    assert main(["plans", "reports_2021_06_30.get_reports", "sellers_v1.get_account"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "reports_2021_06_30",
        "  get_reports  0.0222/s, burst 10, 1 per 45 s (model)",
        "    GET /reports/2021-06-30/reports · any of 10 roles",
        "",
        "sellers_v1",
        "  get_account  0.016/s, burst 15, 1 per 62 s (model)",
        "    GET /sellers/v1/account · role: Account Information Service Provider",
    ]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("orders_v0.get_ordr", "there is no operation orders_v0.get_ordr; did you mean orders_v0.get_order"),
        ("orders_v9.getOrderItems", "did you mean orders_v0.get_order_items"),
        ("order_v0", "did you mean orders_v0"),
        ("confirmShipment", "did you mean orders_v0.confirm_shipment"),
        ("qqqq", "`spapi-async plans` lists them all"),
    ],
)
def test_unknown_names(name: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that means nothing is an error that tells what comes near, and nothing is listed."""
    assert main(["plans", "sellers_v1", name]) == 2
    out, err = capsys.readouterr()
    assert words in err
    assert not out


def test_one_operation() -> None:
    """A method's name is unique; Amazon's own may not be."""
    assert find_operation("shipping_v2.link_carrier_account").operation_id == "linkCarrierAccount"
    with pytest.raises(ConfigError, match=r"give shipping_v2\.\w+ or shipping_v2\.\w+"):
        find_operation("shipping_v2.linkCarrierAccount")
    assert len(find_operations(["shipping_v2.linkCarrierAccount"])) == 2
    with pytest.raises(ConfigError, match=r"is a module; `spapi-async plans orders_v0` lists"):
        find_operation("orders_v0")


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (25, "25/s, burst 2 (model)"),
        (1, "1/s, burst 2 (model)"),
        (0.5, "0.5/s, burst 2, 1 per 2 s (model)"),
        (0.0167, "0.0167/s, burst 2, 1 per min (model)"),
        (0.0083, "0.0083/s, burst 2, 1 per 2 min (model)"),
        (0.0056, "0.0056/s, burst 2, 1 per 3 min (model)"),
    ],
)
def test_plans_in_words(rate: float, words: str) -> None:
    """What is slower than one a second is told as an interval too."""
    assert plan_of(UsagePlan(rate, 2, "model")) == words


def test_every_mark_has_its_words() -> None:
    """What is special about an operation is told in words that can be searched for."""
    marks = {mark.partition(":")[0] for operation in catalog() for mark in marks_of(operation)}
    assert {"restricted", "grantless", "not repeatable", "repeatable by key", "deprecated", "retired", "role"} <= marks
    assert "Amazon's sandbox only" in marks


def test_a_reader_who_has_had_enough() -> None:
    """As with `| head`, that is no error."""
    import subprocess

    command = f"{sys.executable} -m spapi_async plans | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("operation\t")
