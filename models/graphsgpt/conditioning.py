"""Words of a request: a scaffold, properties, both or neither."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..errors import ModelError, check_choice
from .model.modeling import GraphsGPT
from .tokens.tokenizer import Tokenizer

# Shapes: B molecules, P properties, K words, D width.


@torch.no_grad()
def conditional_words(
    model: GraphsGPT,
    tokenizer: Tokenizer,
    rows: int,
    scaffold: Any | None = None,
    properties: Mapping[str, Tensor | float] | None = None,
    num_words: int | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Words (rows, K', D) for `rows` molecules that should hold `scaffold` and have the properties, each one value or a
    value for each row, in its unit; NaN or omitted: not asked for. Raises `ModelError` for a scaffold that cannot be
    read, an unknown property, and a model that takes no requests."""
    wanted = torch.full((rows, len(model.config.property_names)), torch.nan)
    for name, value in (properties or {}).items():
        wanted[:, column(model, name)] = torch.as_tensor(value, dtype=torch.float32)
    tokens = tokenizer([""] if scaffold is None else [scaffold])
    if scaffold is not None and tokens.reasons[0]:
        raise ModelError(f"the scaffold {scaffold!r} cannot be used: {tokens.reasons[0]}")
    batch = tokens.batch([0] * rows).to(model.device)
    return model.encoder(batch, num_words, generator, wanted.to(model.device))


def column(model: GraphsGPT, name: str) -> int:
    """The column of a property in a request. Raises `ModelError` for one that the model does not know."""
    names = model.config.property_names
    if not names:
        raise ModelError(f"property {name!r}: this model takes no requests, its configuration has no properties")
    check_choice("property", name, names)
    return names.index(name)
