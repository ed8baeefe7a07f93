"""The description to source text, by plain functions: one module per emitted file. Formatting is left to ruff."""

from __future__ import annotations

import builtins
from collections.abc import Sequence

from ..ir import ApiSpec
from ..source import RefusedError
from .client import class_names, write_client
from .common import MARK, title
from .decode import write_decode
from .models import write_models
from .operations import write_operations

__all__ = ["write_api", "write_namespace"]

# Names that the emitted modules use themselves; a class of that name would hide them.
_TAKEN = {
    "Any",
    "ClassVar",
    "Final",
    "Literal",
    "Mapping",
    "Sequence",
    "Pager",
    "Api",
    "Paging",
    "Decimal",
    "raw",
    "deprecated",
}
_TAKEN |= set(dir(builtins))


def write_api(api: ApiSpec) -> dict[str, str]:
    """Return the files of an API version's package: name -> text."""
    names = [*(model.name for model in api.models), *(enum.name for enum in api.enums), *class_names(api)]
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
    imports = "\n".join(f"    from .{api.module}.client import {', '.join(class_names(api))}" for api in apis)
    properties, raw_properties = [], []
    for api in apis:
        name, raw_name = class_names(api)
        properties.append(f'''
    @cached_property
    def {api.module}(self) -> {name}:
        """The operations of `{api.module}`."""
        from .{api.module}.client import {name}

        return self.api({name})
''')
        raw_properties.append(f'''
    @cached_property
    def {api.module}(self) -> {raw_name}:
        """The operations of `{api.module}`."""
        from .{api.module}.client import {raw_name}

        return {raw_name}(self._apis.{api.module})
''')
    return f'''"""Every API version as an attribute, imported when it is first touched.

{MARK}
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from .base import Api
{imports}

__all__ = ["MODULES", "Apis", "ApisWithRawResponse"]

AnyApi = TypeVar("AnyApi", bound="Api")

MODULES = {tuple(api.module for api in apis)!r}
"""The modules of this package."""


class Apis:
    """The API versions; a client inherits them."""

    def api(self, kind: type[AnyApi]) -> AnyApi:
        """Return an API version whose calls this client sends; the client says how."""
        raise NotImplementedError
{"".join(properties)}

class ApisWithRawResponse:
    """The API versions, whose methods give each reply as a `RawResponse`."""

    def __init__(self, apis: Apis) -> None:
        self._apis = apis
{"".join(raw_properties)}'''


def _init(api: ApiSpec) -> str:
    models = sorted([*(model.name for model in api.models), *(enum.name for enum in api.enums)])
    classes = class_names(api)
    names = "\n".join(f'    "{name}",' for name in sorted([*classes, *models]))
    imports = "\n".join(f"    from .models import {name}" for name in models)
    return f'''"""{title(api)}.

{MARK}
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import {", ".join(classes)}
{imports}

__all__ = [
{names}
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(".client" if name in {classes!r} else ".models", __name__), name)
    raise AttributeError(f"module {{__name__!r}} has no attribute {{name!r}}")


def __dir__() -> list[str]:
    return sorted({{*globals(), *__all__}})
'''
