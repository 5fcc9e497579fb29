"""Which stock architecture a model is written as."""

from __future__ import annotations

from ...errors import ModelError, check_choice
from .granite import GRANITE_MOE
from .mixtral import MIXTRAL
from .olmo import FLEX_OLMO
from .qwen import QWEN2_MOE, QWEN3_MOE
from .sigmoid import DOTS1, GLM4_MOE
from .source import Source
from .stock import Engine, Stock

STOCK = (MIXTRAL, QWEN3_MOE, GRANITE_MOE, QWEN2_MOE, GLM4_MOE, DOTS1, FLEX_OLMO)
"""Architectures in order of preference: the first one that fits is written. Granite comes before Qwen2, whose
renormalised weights llama.cpp does not compute."""


def named(architecture: str) -> Stock:
    """The architecture of a name such as "mixtral" or "qwen2_moe".

    Raises:
        ModelError: no such one.
    """
    by_name = {plain(stock.name): stock for stock in STOCK}
    check_choice("architecture", plain(architecture), tuple(by_name))
    return by_name[plain(architecture)]


def plain(name: str) -> str:
    """A name of an architecture in small letters, without what stands between its words."""
    return name.lower().replace("_", "").replace("-", "")


def choose(source: Source, engine: Engine, architecture: str | None = None) -> tuple[Stock, Source]:
    """The architecture, and the form in which it takes the model."""
    if architecture is not None:
        return _that_one(source, engine, named(architecture))
    _check_not_foreign(source)
    for wanted in (engine, "transformers"):
        for form in source.forms():
            for stock in STOCK:
                features = form.features
                if not stock.fits(features, wanted):
                    continue
                if wanted == engine:
                    return stock, form
                raise ModelError(
                    f"{engine} {stock.hindrance(features, engine)}, and for transformers the model would be one: use "
                    "engine='transformers', or sparsebench.models.save(model, path)"
                )
    raise ModelError(f"no stock architecture has {_nowhere(source)}: use sparsebench.models.save(model, path)")


def _that_one(source: Source, engine: Engine, stock: Stock) -> tuple[Stock, Source]:
    _check_not_foreign(source)
    for form in source.forms():
        if stock.fits(form.features, engine):
            return stock, form
    hindrance = stock.hindrance(next(source.forms()).features, engine)
    raise ModelError(f"architecture={stock.name}: {engine} {hindrance}; without a name the first that fits is taken")


def _check_not_foreign(source: Source) -> None:
    foreign = source.foreign()
    if foreign:
        raise ModelError(f"no stock architecture has {' or '.join(foreign)}: use sparsebench.models.save(model, path)")


def _nowhere(source: Source) -> str:
    """The features that no architecture has; all of them where each one is found somewhere."""
    features = source.features
    nowhere = features.difference(*(stock.runs_in["transformers"].has for stock in STOCK))
    return ", ".join(sorted(nowhere)) if nowhere else f"{', '.join(sorted(features))} at once"
