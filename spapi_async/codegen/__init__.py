"""The generator: Amazon's Swagger models -> a frozen description -> the packages of `spapi_async/apis`.

Read in this order: `source` (finds and pins the model files), `ir` (the description), `read` and `shapes` (Swagger 2.0
to the description: operations, and the types they use; what has not been seen before is refused), `names`, `write` (the
description to source text). Facts that the models lack are in `overrides.toml`, each with its source. Nothing imports
this package; `python -m spapi_async.codegen` runs it.
"""

__all__: list[str] = []
