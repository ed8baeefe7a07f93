"""The generator: Amazon's Swagger models -> a frozen description -> the packages of `spapi_async/apis`.

Read in this order: `source` (finds and pins the model files), `ir` (the description), `read` and `shapes` (Swagger 2.0
to the description: operations, and the types they use; what has not been seen before is refused), `names`, `write` (the
description to source text), `run` (from folder to folder), `report` (what has changed). Facts that the models lack are
in `overrides.toml`, each with its source. `python -m spapi_async.codegen` runs it for us; `spapi-async generate` for
users, with `newer`. Nothing else imports this package.
"""

__all__: list[str] = []
