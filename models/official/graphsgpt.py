"""GraphsGPT (arXiv 2402.02464): 1W, 2W, 4W, 8W, and 1W-C, whose molecules can be asked for.

Which bond a token is stands in `bond_dict.pkl` beside the weights: {(lower element, higher element, order): number}.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from ..errors import ModelError
from ..graphsgpt.model.configuration import GraphsGPTConfig
from ..graphsgpt.model.modeling import GraphsGPT
from ..graphsgpt.tokens.vocabulary import ELEMENTS, EdgeType, NodeType, Vocabulary
from ..hub.own_folders import state_of
from .checkpoint import Built, Checkpoint, Place

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


def build(checkpoint: Checkpoint) -> Built:
    """A `GraphsGPT` with the faithful choices.

    Args:
        checkpoint: in this layout.

    Returns:
        The model.

    Raises:
        ModelError: it is not whole, or says what no published checkpoint does.
    """
    conditioned = checkpoint.config["model_type"] == "graphs_gpt_conditioned"
    if conditioned and checkpoint.required("num_properties") != len(PROPERTIES):
        raise ModelError(
            f"{checkpoint.place} has other properties than {', '.join(PROPERTIES)}: which, it does not say"
        )
    changes: dict[str, Any] = {}
    if conditioned:
        changes["properties"] = {name: (0.0, 1.0) for name in sorted(PROPERTIES)}
    model = GraphsGPT(config_of(checkpoint, checkpoint.place, **changes)).eval()
    found = places(checkpoint.names(), model)
    checkpoint.fill(model, found, _properties(checkpoint, found, model) if conditioned else {})
    return Built(model, UNKNOWN_PROPERTIES if conditioned else ())


def places(names: Iterable[str], model: nn.Module, wrapper: str = "") -> dict[str, Place]:
    """Where tensors of a model come from, by our names.

    Args:
        names: official ones; those that the model does not have are passed over.
        model: a GraphsGPT.
        wrapper: what the official names begin with.
    """
    wanted = state_of(model)
    found = {our_name(name.removeprefix(wrapper)): Place(name) for name in names}
    return {ours: place for ours, place in found.items() if ours in wanted}


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


def config_of(checkpoint: Checkpoint, folder: Path, **changes: Any) -> GraphsGPTConfig:
    """The configuration of ours.

    Args:
        checkpoint: whose configuration counts.
        folder: where the bonds are.
        changes: further values.

    Returns:
        With the faithful choices.

    Raises:
        ModelError: it says what no published checkpoint does, or contradicts its bonds.
    """
    checkpoint.check_values(KNOWN)
    vocabulary = read_bonds(folder / "bond_dict.pkl")
    for name, size in (("atom_vocab_size", len(vocabulary.nodes)), ("bond_vocab_size", len(vocabulary.edges))):
        said = checkpoint.required(name)
        if said != size:
            raise ModelError(f"{checkpoint.place} says {name}={said}, and its bond_dict.pkl has {size}")
    sizes = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "rms_norm_eps")
    positions = checkpoint.required("position_feature_size")
    return GraphsGPTConfig.of(
        vocabulary,
        num_words=checkpoint.required("num_fingerprints"),
        max_atoms=positions,
        code_size=positions,
        **{name: checkpoint.required(name) for name in sizes},
        **changes,
    )


def _properties(checkpoint: Checkpoint, found: dict[str, Place], model: GraphsGPT) -> dict[str, Tensor]:
    """Rows of the properties in the order of the alphabet; the mark of a request, which only ours has, becomes 0."""
    order = [PROPERTIES.index(name) for name in model.config.property_names]
    made = {ours: checkpoint.take(found.pop(ours).name)[order] for ours in _ROWS if ours in found}
    marks = {name: torch.zeros_like(value) for name, value in state_of(model).items() if name.startswith(_MARK)}
    return made | marks
