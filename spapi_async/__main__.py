"""`python -m spapi_async` is the command `spapi-async`."""

from .cli import main

if __name__ == "__main__":
    raise SystemExit(main())
