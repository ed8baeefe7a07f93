"""The description to source text, by plain functions: one module per emitted file. Formatting is left to ruff."""

from __future__ import annotations

import builtins
from collections.abc import Sequence

from ..ir import ApiSpec
from ..source import RefusedError
from .client import write_client
from .common import MARK, title
from .decode import write_decode
from .models import write_models
from .operations import write_operations

__all__ = ["write_api", "write_namespace"]

# Names that the emitted modules use themselves; a class of that name would hide them.
_TAKEN = {"Any", "ClassVar", "Final", "Literal", "Mapping", "Sequence", "Pager", "Api", "Paging", "Decimal"}
_TAKEN |= set(dir(builtins))


def write_api(api: ApiSpec) -> dict[str, str]:
    """Return the files of an API version's package: name -> text."""
    names = [*(model.name for model in api.models), *(enum.name for enum in api.enums), api.class_name]
    for name in [*names, *(f"{enum.name}Literal" for enum in api.enums)]:
        if name in _TAKEN or names.count(name) > 1:
            raise RefusedError(f"{api.module}: {name} is the name of something else too; rename it in overrides.toml")
    return {
        "__init__.py": _init(api),
        "operations.py": write_operations(api),
        "models.py": write_models(api),
        "decode.py": write_decode(api),
        "client.py": write_client(api),
    }


def write_namespace(apis: Sequence[ApiSpec]) -> str:
    """Return `namespace.py`: one attribute per API version, imported when it is first touched."""
    imports = "\n".join(f"    from .{api.module}.client import {api.class_name}" for api in apis)
    properties = "\n".join(
        f'''
    @cached_property
    def {api.module}(self) -> {api.class_name}:
        """The operations of `{api.module}`."""
        from .{api.module}.client import {api.class_name}

        return {api.class_name}(self.send)
'''
        for api in apis
    )
    return f'''"""Every API version as an attribute, imported when it is first touched.

{MARK}
"""

from __future__ import annotations

from collections.abc import Awaitable
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..operation import Call, Reply
{imports}

__all__ = ["MODULES", "Apis"]

MODULES = {tuple(api.module for api in apis)!r}
"""The modules of this package."""


class Apis:
    """The API versions; a client inherits them."""

    def send(self, call: Call) -> Awaitable[Reply]:
        """Send a call; the client says how."""
        raise NotImplementedError
{properties}'''


def _init(api: ApiSpec) -> str:
    models = sorted([*(model.name for model in api.models), *(enum.name for enum in api.enums)])
    names = "\n".join(f'    "{name}",' for name in sorted([api.class_name, *models]))
    imports = "\n".join(f"    from .models import {name}" for name in models)
    return f'''"""{title(api)}.

{MARK}
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import {api.class_name}
{imports}

__all__ = [
{names}
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(".client" if name == "{api.class_name}" else ".models", __name__), name)
    raise AttributeError(f"module {{__name__!r}} has no attribute {{name!r}}")
'''
