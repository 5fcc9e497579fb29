"""Routers by the name that `MoEConfig.router` has; other packages and programs add theirs."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

from ...errors import ModelError
from ...registry import Registry, only_class
from .router import GLURouter, LinearRouter, MLPRouter, Router

ROUTERS: Mapping[str, type[Router]] = {"linear": LinearRouter, "mlp": MLPRouter, "glu": GLURouter}
"""Those of this package."""


def _read(module: ModuleType) -> type[Router]:
    return _checked(only_class(module, Router))


def _checked(cls: type[Router]) -> type[Router]:
    if not (isinstance(cls, type) and issubclass(cls, Router)):
        raise ModelError(f"{cls!r} is no class derived from Router")
    missing = [name for name in ("num_routed", "logits") if getattr(cls, name) is getattr(Router, name)]
    if not hasattr(cls, "rows"):
        missing.append("rows")
    if missing:
        raise ModelError(f"{cls.__module__}.{cls.__name__} is no whole router: it lacks {', '.join(missing)}")
    return cls


FURTHER: Registry[type[Router]] = Registry("router", ROUTERS.keys(), _read)
"""All routers, others too."""


def register_router(name: str, cls: type[Router]) -> None:
    """Let `MoEConfig(router=name)` mean a class of yours, in this process. A package has an entry point instead.

    Such a router converts, trains, saves and loads as ours do. It has `logits`, `num_routed`, `rows` (names of the
    parameters with a row for each expert) and, where it has more tensors than these, `tensors`; `start` makes it. Where
    `linear_weight` gives a matrix that routes the same, stock checkpoints hold it, else `export` refuses.

    Args:
        name: an identifier that no router has yet.
        cls: derived from `Router`.

    Raises:
        ModelError: the name is taken, or the class lacks something.

    Example::

        class Cosine(Router):
            rows = ("weight",)

            def __init__(self, config, weight_ND):
                super().__init__(config, weight_ND)
                self.weight = nn.Parameter(weight_ND)

            @property
            def num_routed(self):
                return len(self.weight)

            def logits(self, x_TD):
                return 8 * F.normalize(x_TD, dim=-1) @ F.normalize(self.weight.to(x_TD.dtype), dim=-1).T

        register_router("cosine", Cosine)
        convert(model, MoEConfig(num_experts=8, router="cosine"))
    """
    FURTHER.register(name, _checked(cls), cls.__module__)


def router_class(name: str) -> type[Router]:
    """The class of a router. Raises `ModelError` for a name that nobody has."""
    return ROUTERS[name] if name in ROUTERS else FURTHER.get(name)
