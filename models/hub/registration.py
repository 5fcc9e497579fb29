"""Making model types known to transformers without importing it, which takes seconds, before anybody needs it."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_AUTO = "transformers.models.auto.configuration_auto"
_waiting: dict[str, str] = {}


def announce(model_type: str, target: str) -> None:
    """Have `AutoConfig` know a model type from now on, or from when transformers is imported.

    `target`, as "package.module:name", makes the configuration from its fields; the module is imported when a
    configuration of this type is read for the first time.
    """
    if _AUTO in sys.modules:
        _register(model_type, target)
        return
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    _waiting[model_type] = target


class _Finder(MetaPathFinder):
    """Finds the module of `AutoConfig` as others do, and has it loaded with what waits for it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _AUTO:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(Loader):
    def __init__(self, inner: Loader) -> None:
        self.inner = inner

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.inner.exec_module(module)
        for model_type, target in _waiting.items():
            _register(model_type, target)
        _waiting.clear()


def _register(model_type: str, target: str) -> None:
    auto = sys.modules[_AUTO]
    if model_type not in auto.CONFIG_MAPPING:
        auto.AutoConfig.register(model_type, _stand_in(model_type, target))


def _stand_in(made_type: str, target: str) -> type:
    """A configuration class whose objects are what `target` makes."""
    from transformers.configuration_utils import PreTrainedConfig

    class StandIn(PreTrainedConfig):
        model_type = made_type

        def __new__(cls, **fields: Any) -> Any:
            module, _, name = target.partition(":")
            return getattr(importlib.import_module(module), name)(**fields)

    return StandIn
