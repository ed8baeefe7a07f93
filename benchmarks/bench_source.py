"""How fast the rows of a job are read and checked, and in how much memory.

    python benchmarks/bench_source.py [--rows 200000]

Each source is read in a fresh process, to its last row; nothing is journalled or sent. Growth is that of the resident
memory from the 10,000th row to the last.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from spapi_async.cli.bench import machine
from spapi_async.jobs.kinds import find_kind
from spapi_async.jobs.source import open_source
from spapi_async.jobs.template import Templates

TEMPLATE = "Guten Tag {name}, welche Ringgröße dürfen wir schicken? Wir freuen uns auf Ihre Antwort zu {order_id}."
CASES = {
    "messages.csv": "CSV",
    "latin.csv": "the same in Windows-1252",
    "messages.csv.gz": "the same by gzip",
    "-": "the same from standard input",
    "messages.jsonl": "JSON Lines",
    "names.csv": "CSV and a template",
}
_BEGUN = 10_000


def main() -> None:
    """Write the sources, read each, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)  # a child's part
    arguments = parser.parse_args()
    if arguments.read:
        _read(arguments.read)
        return
    print(f"{machine()}; {arguments.rows} rows of about 150 bytes")
    print(f"{'':30}{'rows/CPU s':>12}{'CPU us':>10}{'MB':>10}{'growth, MB':>12}")
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), arguments.rows)
        for name, words in CASES.items():
            command = [sys.executable, __file__, "--read", str(Path(folder, name))]
            with Path(folder, "messages.csv").open("rb") as stdin:
                done = subprocess.run(command, stdin=stdin, stdout=subprocess.PIPE, check=True, text=True)
            count, seconds, resident, growth = map(float, done.stdout.split())
            assert count == arguments.rows
            print(f"{words:30}{count / seconds:>12,.0f}{seconds / count * 1e6:>10.1f}{resident:>10.1f}{growth:>12.1f}")


def _write(folder: Path, count: int) -> None:
    rows = [("order_id", "marketplace_id", "text"), ("order_id", "marketplace_id", "name")]
    with (
        folder.joinpath("messages.csv").open("w", encoding="utf-8", newline="") as messages,
        folder.joinpath("latin.csv").open("w", encoding="cp1252", newline="") as latin,
        gzip.open(folder / "messages.csv.gz", "wt", 1, encoding="utf-8", newline="") as packed,
        folder.joinpath("names.csv").open("w", encoding="utf-8", newline="") as names,
        folder.joinpath("messages.jsonl").open("w", encoding="utf-8") as objects,
    ):
        writers = [csv.writer(file) for file in (messages, latin, packed)]
        by_name = csv.writer(names)
        for writer in writers:
            writer.writerow(rows[0])
        by_name.writerow(rows[1])
        for order_id in _orders(count):
            name = f"Frau Weiß {order_id[-4:]}"
            text = TEMPLATE.replace("{name}", name).replace("{order_id}", order_id)
            for writer in writers:
                writer.writerow((order_id, "A1PA6795UKMFR9", text))
            by_name.writerow((order_id, "A1PA6795UKMFR9", name))
            values = dict(zip(rows[0], (order_id, "A1PA6795UKMFR9", text), strict=True))
            objects.write(json.dumps(values, ensure_ascii=False) + "\n")


def _orders(count: int) -> Iterator[str]:
    for number in range(count):
        yield f"902-{number // 10**7:07}-{number % 10**7:07}"


def _read(path: Path) -> None:
    templates = Templates.of({"": TEMPLATE}) if path.name == "names.csv" else None
    name = "-" if path.name == "-" else str(path)
    count, early, started = 0, 0.0, time.process_time()
    with open_source(name, find_kind("confirmOrderDetails"), templates=templates, stdin=sys.stdin.buffer) as source:
        for entry in source.entries:
            count += entry.row is not None
            if count == _BEGUN:
                early = _resident()
    print(count, time.process_time() - started, _resident(), _resident() - early)


def _resident() -> float:
    """Return the memory that this process has now, in MB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1e6


if __name__ == "__main__":
    main()
