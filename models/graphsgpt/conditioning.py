"""Words of a request: a scaffold, properties, both or neither."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from rdkit import Chem, rdBase
from torch import Tensor

from ..errors import ModelError, check_choice
from .model.modeling import GraphsGPT
from .tokens.tokenizer import Tokenizer

USUAL = 3.0
"""Standard deviations around the mean of training within which a wanted value lies."""


class RequestWarning(UserWarning):
    """A request holds what the model cannot follow well."""


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


def notes_on_request(model: GraphsGPT, scaffold: Any | None, properties: Mapping[str, Any]) -> list[str]:
    """What a request asks for that the model cannot follow well, a line each.

    Args:
        model: which knows the mean and standard deviation of each property over what it was trained on.
        scaffold: SMILES string or RDKit molecule; None for none. Tokens hold no stereo.
        properties: wanted values by name, one or many each, in their units.

    Returns:
        The lines, none where all is well. What is outside of `USUAL` standard deviations was rare in training.

    Raises:
        ModelError: an unknown property.
    """
    notes = []
    for name, wanted in properties.items():
        column(model, name)  # which knows the name, or says what is near it
        mean, std = (model.config.properties or {})[name]
        low, high = mean - USUAL * std, mean + USUAL * std
        values = torch.as_tensor(wanted, dtype=torch.float64).flatten().tolist()
        far = [value for value in values if not low <= value <= high]
        if far:
            notes.append(
                f"{name}={far[0]:g} is outside of what this model was trained on, {low:.4g} to {high:.4g}: "
                "expect molecules that do not have it"
            )
    plain = _without_stereo(scaffold)
    if plain:
        notes.append(f"the scaffold loses its stereo, which tokens do not hold: {plain} is used")
    return notes


def _without_stereo(scaffold: Any | None) -> str:
    """The SMILES of a scaffold without the stereo that it has; empty where it has none or cannot be read."""
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(scaffold) if isinstance(scaffold, str) else scaffold
    if not isinstance(molecule, Chem.Mol):
        return ""
    copy = Chem.Mol(molecule)
    Chem.RemoveStereochemistry(copy)
    plain = Chem.MolToSmiles(copy)
    return plain if plain != Chem.MolToSmiles(molecule) else ""
