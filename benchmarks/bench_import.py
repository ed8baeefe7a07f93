"""What it costs to get ready: imports and the first touch of an API, beside the libraries that it stands on.

    python benchmarks/bench_import.py

Each figure is the median over fresh processes, which take turns; measured is the wall time within the process, after
Python itself has started. All modules have been compiled before, as those of an installed package are.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from spapi_async.cli.bench import machine

ROUNDS = 15
LARGEST = "fulfillment_inbound_2024_03_20"  # by classes

LIBRARIES = "import httpx, aiohttp, attrs, cattrs, orjson"
CLIENT = """
import spapi_async
sp = spapi_async.SellingPartner(client_id="bench", client_secret="bench", refresh_token="Atzr|BENCH", region="eu")
"""
# The attribute imports operations and models; the first reply imports the functions that read it too.
TOUCHED = f"{CLIENT}\nsp.{LARGEST}"
USED = f"{TOUCHED}\nimport spapi_async.apis.{LARGEST}.decode"

CASES = {
    "the libraries alone": LIBRARIES,
    "spapi_async, a client": CLIENT,
    f"... and sp.{LARGEST}": TOUCHED,
    "... and what reads its replies": USED,
}


def measure(source: str, cache: str) -> float:
    """Return the seconds that some lines take in a fresh process; `cache` is a folder for compiled modules."""
    timed = f"import time\nbegan = time.perf_counter()\n{source}\nprint(time.perf_counter() - began)"
    names = {"PYTHONPYCACHEPREFIX": cache, "PYTHONDONTWRITEBYTECODE": ""}
    command = [sys.executable, "-c", timed]
    done = subprocess.run(command, env=os.environ | names, check=True, capture_output=True, text=True)
    return float(done.stdout)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"processes for each figure (default {ROUNDS})")
    rounds = parser.parse_args(argv).rounds
    times: dict[str, list[float]] = {name: [] for name in CASES}
    with tempfile.TemporaryDirectory() as cache:
        for source in CASES.values():
            measure(source, cache)  # compiles everything
        for _ in range(rounds):
            for name, source in CASES.items():
                times[name].append(measure(source, cache))
    medians = {name: statistics.median(values) for name, values in times.items()}
    alone, *_ = medians.values()
    print(machine())
    print(f"Ready after, medians of {rounds} fresh processes:")
    for name, median in medians.items():
        print(f"  {name:46} {median * 1000:4.0f} ms   {median / alone:.2f}x the libraries")


if __name__ == "__main__":
    main()
