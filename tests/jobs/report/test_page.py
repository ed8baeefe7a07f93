from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from spapi_async.cli import main
from spapi_async.jobs.ledger import Count, JobRecord, ReasonCount, Run
from spapi_async.jobs.report.overview import overview
from spapi_async.jobs.report.pace import Bin, Pace
from spapi_async.jobs.report.page import MOST_REFUSED, page_of
from spapi_async.jobs.row import Row, State

from .past import Past

NOW = 1_800_000_000.0
MOST = 10_000_000  # bytes
VOID = {"meta", "link", "br", "wbr"}


class Outline(HTMLParser):
    """Reads a page as a browser does, and sees that each element is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.headings: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("h1", "h2", "bdi") and {"h1", "h2"} & set(self.open):
            self.headings.append(data)


def row(number: int, state: State = State.REFUSED, reason: str = "no", **more: object) -> Row:
    values = {"kind": "confirmOrderDetails", "order_id": f"902-{number}", "selling_partner": "a" * 64, "settled": NOW}
    return Row(number=number, state=state, reason=reason, **{**values, **more})


def page(
    refused: Sequence[Row] = (),
    doubts: Sequence[Row] = (),
    *,
    labels: Sequence[str] = ("ACME",),
    reasons: Sequence[str] = ("no",),
    bins: int = 3,
    name: str = "spring",
    states: Sequence[State] = tuple(State),
) -> str:
    digests = ["a" * 64, *(f"{n:064}" for n in range(1, len(labels)))]
    kind = "confirmOrderDetails"
    runs = [
        Run(number=1, selling_partner=digest, kind=kind, label=label)
        for digest, label in zip(digests, labels, strict=True)
    ]
    job = JobRecord(
        number=1, name=name, source="", options={}, begun=NOW - 1000, ended=None, loaded=NOW, rejected=3, is_open=True,
        runs=runs,
    )  # fmt: skip
    counts = [Count(selling_partner=d, kind=kind, state=state, count=1000) for d in digests for state in states]
    whys = [
        ReasonCount(selling_partner=d, kind=kind, state=State.REFUSED, reason=reason, count=1)
        for d in digests for reason in reasons
    ]  # fmt: skip
    found = overview(job, counts, [], [], whys, NOW)
    pace = Pace(width=10, bins=[Bin(since=NOW + 10 * n, sent=5, refused=1, plan=1.0) for n in range(bins)], earlier=2)
    names = dict(zip(digests, labels, strict=True))
    return page_of(found, pace, refused, doubts, names, "spring.csv")


def test_a_page_has_headings_and_tables() -> None:
    """Headings in their order, tables with captions and headers for both directions, and nothing left open."""
    outline = Outline(page([row(2)], [row(3, State.IN_DOUBT)], labels=("ACME", "Bolt")))
    assert outline.headings == [
        "spring", "Pace over time", "Outcomes by reason", "Selling partners and kinds", "Rows in doubt", "Refused rows",
    ]  # fmt: skip
    assert outline.names.count("table") == outline.names.count("caption") == 5
    assert {value for tag, name, value in outline.attributes if tag == "th" and name == "scope"} == {"row", "col"}
    assert ("html", "lang", "en") in outline.attributes
    ids = [value for _, name, value in outline.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    for _, name, value in outline.attributes:
        if name == "aria-labelledby":
            assert set(value.split()) <= set(ids)


def test_a_page_needs_nothing_else() -> None:
    """No script, no address and no other file: it can be sent by mail, and a policy in it forbids the rest."""
    html = page([row(2)])
    outline = Outline(html)
    assert not {"script", "img", "iframe", "object", "form"} & set(outline.names)
    assert [value for _, name, value in outline.attributes if name in ("src", "href")] == ["data:,"]
    assert not [name for _, name, _ in outline.attributes if name.startswith("on")]
    assert "url(" not in re.sub(r"url\(#p-(refused|doubt)\)", "", html)
    assert "@import" not in html
    assert "default-src 'none'" in html


def test_words_from_outside_are_words() -> None:
    """Whatever Amazon, a file name or a label says: it is shown, and is no element of the page."""
    evil = "</bdi></td></title></style><script>alert(1)</script><!-- & \u202e \x00 \"'"
    html = page(
        [row(2, reason=evil, order_id=evil, key=evil, request_id=evil, kind=evil)],
        [row(3, State.IN_DOUBT, evil)], labels=(evil, "b"), reasons=[evil], name=evil,
    )  # fmt: skip
    assert "script" not in Outline(html).names
    assert "<script" not in html
    assert "\u202e" not in html
    assert "\x00" not in html
    assert unescape(html).count("<script>alert(1)</script>") >= 8


def test_a_page_before_anything_happened() -> None:
    """A job that has just begun has a page too, and says so."""
    html = page(bins=0, states=())
    assert "No row has got an outcome in this job yet. Without 2 rows, which had their outcome before this job" in html
    assert "Refused rows" not in html


def test_only_the_first_refused_rows_are_in_the_page() -> None:
    """It lists a thousand of them and says how many there are; the CSV that it names has all."""
    html = page([row(n) for n in range(1, MOST_REFUSED + 100)], states=[State.REFUSED] * 2)
    assert html.count('<th scope="row" class="n">') == MOST_REFUSED
    assert f"The first {MOST_REFUSED:,} of 2,000, in the order of their lines" in html
    assert "<bdi>spring.csv</bdi>" in html


def test_a_page_is_never_too_big() -> None:
    """With 1,200 selling partners, 1,200 refused rows and reasons of any length it stays below 10 MB."""
    long = "&" * 1000  # five bytes each
    rows = [row(n, reason=long, order_id=long, key=long, request_id=long) for n in range(1200)]
    labels = [long + str(n) for n in range(1200)]
    html = page(rows, rows, labels=labels, reasons=[long, long + "x"], bins=200, name=long)
    assert 3_000_000 < len(html.encode()) < MOST


# -- in a real browser

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

PROBE = """<!doctype html><title>probe</title><body><script>
const found = [];
async function look(name, width, scheme) {
  const frame = document.createElement("iframe");
  frame.style = `width: ${width}px; height: 1000px; border: 0; color-scheme: ${scheme}`;
  const loaded = new Promise(done => frame.onload = done);
  frame.src = name;
  document.body.append(frame);
  await loaded;
  const page = frame.contentDocument, root = page.documentElement;
  const scrolls = new Set(page.querySelectorAll(".scroll"));
  const wide = [...page.querySelectorAll("body *")].filter(each => {
    const box = each.getBoundingClientRect();
    return box.right > width + 0.5 && !each.closest(".scroll") && box.width > 0;
  }).map(each => each.outerHTML.slice(0, 100));
  const chart = page.querySelector("svg.pace");
  found.push({
    name, width, scheme, scrollWidth: root.scrollWidth, wide, title: page.title,
    background: frame.contentWindow.getComputedStyle(page.body).backgroundColor,
    bars: chart.querySelectorAll("g rect").length, chart: chart.getBoundingClientRect().width,
    text: Math.min(...[...page.querySelectorAll("td, th, text")].slice(0, 500).map(
      each => parseFloat(frame.contentWindow.getComputedStyle(each).fontSize))),
    scripts: page.scripts.length, rows: page.querySelectorAll("#refused-table ~ tbody tr").length,
  });
}
(async () => {
  for (const name of NAMES) for (const width of [1280, 400]) await look(name, width, "light");
  for (const name of NAMES) await look(name, 1280, "dark");
  document.body.textContent = "FOUND" + JSON.stringify(found) + "END";
})();
</script>"""


def looked_at(folder: Path, names: Sequence[str]) -> Sequence[Mapping[str, Any]]:
    """Open pages in a browser, each in two widths and two colour schemes, and measure them."""
    assert CHROMIUM
    probe = folder / "probe.html"
    probe.write_text(PROBE.replace("NAMES", json.dumps(names)), encoding="utf-8")
    command = [
        CHROMIUM, "--headless", f"--user-data-dir={folder / 'profile'}", "--disable-gpu", "--no-first-run",
        "--disable-dev-shm-usage", "--disable-background-networking", "--no-proxy-server",
        "--allow-file-access-from-files", "--hide-scrollbars", "--enable-logging=stderr",
        "--virtual-time-budget=60000", "--timeout=60000",
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
    ]  # fmt: skip
    done = subprocess.run(
        [*command, "--dump-dom", probe.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    assert "CONSOLE" not in done.stderr, done.stderr
    [found] = re.findall(r"FOUND(.*)END", done.stdout)
    if pictures := os.environ.get("SCREENSHOTS"):  # for people
        for name in names:
            picture = Path(pictures, f"{name}.png")
            shot = [f"--screenshot={picture}", "--window-size=1280,2400", (folder / name).as_uri()]
            subprocess.run([*command, *shot], capture_output=True, timeout=120, check=True)
    measured: Sequence[Mapping[str, Any]] = json.loads(unescape(found))
    return measured


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: `apt install chromium` to try it in a real browser")
def test_in_a_browser(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A page of few, of many and of very many rows renders without an error and fits wide and narrow screens."""
    jobs = {40: {}, 4000: {"sellers": 4, "kinds": 3, "waiting": 600}}
    if os.environ.get("REPORT_ROWS"):  # `nox -s report`
        jobs[int(os.environ["REPORT_ROWS"])] = {"sellers": 1000, "kinds": 2, "rate": 5.0}
    for rows, more in jobs.items():
        Past(tmp_path / f"{rows}.db")(rows, **more)
        assert main(["jobs", "report", str(tmp_path / f"{rows}.db")]) == 0
    names = [f"{rows}-job-1.html" for rows in jobs]
    for seen in looked_at(tmp_path, names):
        assert seen["title"] == "messages.csv: report"
        assert seen["scrollWidth"] == seen["width"]
        assert seen["wide"] == []
        assert seen["scripts"] == 0
        assert 30 <= seen["bars"] <= 600
        assert seen["chart"] > seen["width"] * 0.7
        assert seen["text"] >= 12
        assert seen["rows"] > 0
        assert (tmp_path / seen["name"]).stat().st_size < MOST
        assert seen["background"] == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}[seen["scheme"]]
