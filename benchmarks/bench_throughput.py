"""Throughput against the sandbox; the same as `spapi-async bench`. Arguments are passed on."""

import sys

from spapi_async.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["bench", *sys.argv[1:]]))
