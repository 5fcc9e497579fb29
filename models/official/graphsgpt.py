"""GraphsGPT (arXiv 2402.02464): 1W, 2W, 4W, 8W, and 1W-C, whose molecules can be asked for.

Which bond a token is stands in `bond_dict.pkl` beside the weights: {(lower element, higher element, order): number}.
"""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from ..errors import ModelError
from ..graphsgpt.model.configuration import GraphsGPTConfig
from ..graphsgpt.model.modeling import GraphsGPT
from ..graphsgpt.tokens.vocabulary import ELEMENTS, EdgeType, NodeType, Vocabulary
from .checkpoint import Built, Checkpoint
from .decoders import check_values, required

TITLE = "GraphsGPT, A4Bio/GraphsGPT"
KNOWN = {
    "adaptive_position_length": False,
    "connection_loss_type": "contrastive",
    "hidden_act": "silu",
    "share_embeddings": False,
    "tie_word_embeddings": False,
}
"""What every published checkpoint says."""
PLACES = {
    "encoder_layers": "layers",
    "decoder_layers": "layers",
    "encoder_norm": "norm",
    "decoder_norm": "norm",
    "embed_tokens": "embed.token",
    "embed_identifier": "embed.identifier",
    "embed_fingerprint": "word",
    "embed_fingerprint_position": "word_positions",
    "embed_graph_position": "embed.positions",
    "embed_property_position": "condition.positions",
    "graph_position_proj": "projection",
    "lm_head": "heads.bond",
    "n_head": "heads.first_atom",
    "c_head_begin": "heads.begin",
    "c_head_end": "heads.end",
}
"""Official and our names of modules."""
LEAVES = (
    (r"(embed\.positions)\.learnable_orthonormal_features\.weight", r"\1.codes"),
    (r"embed_property\.weight", "condition.rows.weight"),
    (r"embed_property\.norm\.", "condition.norm."),
    (r"(embed\.token|embed\.identifier|word|word_positions|condition\.positions)\.weight", r"\1.embedding.weight"),
)
"""What is renamed after that, at the end of a name."""
PROPERTIES = ("qed", "sa", "logp")
"""Of 1W-C, in the order of its rows."""
UNKNOWN_PROPERTIES = (
    "the means and deviations of its properties: ask for standardised values",
    "the names of its properties: taken to be qed, sa and logp, in this order of its rows",
)
_ROWS = ("encoder.condition.rows.weight", "encoder.condition.positions.embedding.weight")
_MARK = "encoder.condition.mark."


def fits(checkpoint: Checkpoint) -> bool:
    """By its model type."""
    return checkpoint.config.get("model_type") in ("graphs_gpt", "graphs_gpt_conditioned")


def build(checkpoint: Checkpoint) -> Built:
    """A `GraphsGPT` with the faithful choices.

    Args:
        checkpoint: in this layout.

    Returns:
        The model.

    Raises:
        ModelError: it is not whole, or says what no published checkpoint does.
    """
    check_values(checkpoint, KNOWN)
    conditioned = checkpoint.config["model_type"] == "graphs_gpt_conditioned"
    if conditioned and required(checkpoint, "num_properties") != len(PROPERTIES):
        raise ModelError(
            f"{checkpoint.place} has other properties than {', '.join(PROPERTIES)}: which, it does not say"
        )
    model = GraphsGPT(_config(checkpoint, conditioned)).eval()
    state = {our_name(name): checkpoint.take(name) for name in checkpoint.names()}
    if conditioned:
        _arrange_properties(state, model)
    _put(model, state, checkpoint.place)
    return Built(model, UNKNOWN_PROPERTIES if conditioned else ())


def our_name(name: str) -> str:
    """Our name of a tensor.

    Args:
        name: the official one.

    Returns:
        What our model calls it, if it has it.
    """
    place = ".".join(PLACES.get(part, part) for part in name.removeprefix("model.").split("."))
    for pattern, replacement in LEAVES:
        place = re.sub(f"(?<![a-z_]){pattern}", replacement, place)
    return place


def read_bonds(file: Path) -> Vocabulary:
    """The vocabulary of a checkpoint.

    Args:
        file: the pickled dictionary; only numbers, tuples and dictionaries are read, nothing is executed.

    Returns:
        Elements and bonds, in the order of their numbers.

    Raises:
        ModelError: it is missing, holds anything else, or does not number its bonds one after the other.
    """
    try:
        with file.open("rb") as stream:
            found = _Plain(stream).load()
    except FileNotFoundError as error:
        raise ModelError(
            f"{file} is missing, which says what the bond tokens are: copy the whole checkpoint"
        ) from error
    except (pickle.UnpicklingError, EOFError, LookupError, ValueError, TypeError) as error:
        raise ModelError(f"{file} is damaged, or holds more than numbers, which is not read: {error}") from error
    try:
        edges = {
            int(number): EdgeType(int(low), int(high), float(order)) for (low, high, order), number in found.items()
        }
    except (AttributeError, TypeError, ValueError) as error:
        raise ModelError(f"{file} holds no numbered bonds: {error}") from error
    numbers = sorted(edges)
    if len(edges) < len(found) or numbers != list(range(ELEMENTS + 1, ELEMENTS + 1 + len(edges))):
        raise ModelError(f"{file} does not number its bonds from {ELEMENTS + 1} on: it is of another layout")
    nodes = tuple(NodeType(element, 0) for element in range(1, ELEMENTS + 1))
    return Vocabulary(mode="faithful", nodes=nodes, edges=tuple(edges[number] for number in numbers))


class _Plain(pickle.Unpickler):
    """Reads what needs no import: a pickle that names any class or function is refused."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def _config(checkpoint: Checkpoint, conditioned: bool) -> GraphsGPTConfig:
    fields = checkpoint.config
    vocabulary = read_bonds(checkpoint.place / "bond_dict.pkl")
    for name, size in (("atom_vocab_size", len(vocabulary.nodes)), ("bond_vocab_size", len(vocabulary.edges))):
        if required(checkpoint, name) != size:
            raise ModelError(f"{checkpoint.place} says {name}={fields[name]}, and its bond_dict.pkl has {size}")
    sizes = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "rms_norm_eps")
    changes: dict[str, Any] = {name: required(checkpoint, name) for name in sizes}
    if conditioned:
        changes["properties"] = {name: (0.0, 1.0) for name in sorted(PROPERTIES)}
    positions = required(checkpoint, "position_feature_size")
    return GraphsGPTConfig.of(
        vocabulary,
        num_words=required(checkpoint, "num_fingerprints"),
        max_atoms=positions,
        code_size=positions,
        **changes,
    )


def _arrange_properties(state: dict[str, Tensor], model: GraphsGPT) -> None:
    """Rows of the properties in the order of the alphabet; the mark of a request, which only ours has, becomes 0."""
    order = [PROPERTIES.index(name) for name in model.config.property_names]
    for name in _ROWS:
        state[name] = state[name][order]
    for name, value in model.state_dict().items():
        if name.startswith(_MARK):
            state[name] = torch.zeros_like(value)


def _put(model: GraphsGPT, state: dict[str, Tensor], place: Path) -> None:
    """Load the tensors. Raises `ModelError` where one is missing, of another shape, or has no place."""
    try:
        model.load_state_dict(state, assign=True)
    except RuntimeError as error:
        lines = str(error).splitlines()
        raise ModelError(f"{place} does not fit its config.json: {lines[min(1, len(lines) - 1)].strip()}") from error
