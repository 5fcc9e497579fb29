"""The checkpoint of the package minimol, tensor by tensor."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ...errors import ModelError
from .heads import OUTPUTS, PretrainedMiniMol
from .network import MiniMolConfig

_POSITIONS = "model.encoder_manager.pe_encoders."
_HEADS = "model.task_heads."
_SHARED = "model.task_heads.graph_output_nn."

_PLACES = {
    "trunk.laplacian.each.0": _POSITIONS + "la_pos.linear_in.linear",
    "trunk.laplacian.each.1": _POSITIONS + "la_pos.pe_encoder.fully_connected.0.linear",
    "trunk.laplacian.each.3": _POSITIONS + "la_pos.pe_encoder.fully_connected.1.linear",
    "trunk.laplacian.sum": _POSITIONS + "la_pos.post_mlp.fully_connected.0.linear",
    "trunk.returns.0": _POSITIONS + "rw_pos.pe_encoder.first_normalization",
    "trunk.returns.1": _POSITIONS + "rw_pos.pe_encoder.fully_connected.0.linear",
    "trunk.returns.2": _POSITIONS + "rw_pos.pe_encoder.fully_connected.0.normalization",
    "trunk.returns.4": _POSITIONS + "rw_pos.pe_encoder.fully_connected.1.linear",
    "trunk.returns.5": _POSITIONS + "rw_pos.pe_encoder.fully_connected.1.normalization",
}
"""Modules here and in the release; of the rest see `_places`."""

_IDLE = {_POSITIONS + "rw_pos.first_normalization.weight": 1.0, _POSITIONS + "rw_pos.first_normalization.bias": 0.0}
"""A norm that the released code makes and never calls, and the values that it is made with."""

_BASE_WIDTHS = 2.0
"""Widths of the network in those of the base model by which muP scales it (Yang et al., arXiv 2203.03466): a readout
divides what it gets by this number. Ours does not, and has the quotient as its weight."""
_READOUT = re.compile(r"heads\.\w+\.3\.weight|.*\.project\.weight")


def load_minimol(file: Path | str) -> PretrainedMiniMol:
    """MiniMol with its pre-training heads, float32 and in eval mode, from `state_dict.pth` of minimol 1.3.5.

    All 344 tensors, 10,323,665 numbers in half precision, are used: 342 compute, and the two of a norm that the
    released code never calls must be as that norm was made. Nothing but tensors is unpickled.

    Args:
        file: the checkpoint.

    Returns:
        The network; `.trunk` gives the fingerprints.

    Raises:
        ModelError: no such checkpoint: a tensor is missing, left over, of another shape or not finite.

    Example: `load_minimol(path("minimol", "weights")).trunk(minimol_graphs(["CCO"])[0])`, with `path` of
    `sparsebench.data.sources`.
    """
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, EOFError, RuntimeError, ValueError) as error:
        raise ModelError(f"{Path(file).name} is no checkpoint of MiniMol: {type(error).__name__}") from error
    if not isinstance(found, Mapping):
        raise ModelError(f"{Path(file).name} is no checkpoint of MiniMol: it holds a {type(found).__name__}")
    return from_released(found, MiniMolConfig())


def from_released(released: Mapping[str, Tensor], config: MiniMolConfig) -> PretrainedMiniMol:
    """MiniMol of any sizes from tensors under their released names, as `load_minimol`, which says what is refused.

    Args:
        released: tensors by name.
        config: the sizes.

    Returns:
        The network, float32 and in eval mode.

    Raises:
        ModelError: a tensor is missing, left over, of another shape or not finite.
    """
    network = PretrainedMiniMol(config)
    own = network.state_dict()
    names = released_names(network)
    for name in (*names, *_IDLE):
        if name not in released:
            raise ModelError(f"this is no checkpoint of MiniMol: the tensor {name!r} is missing")
    state: dict[str, Tensor] = {}
    for name, tensor in released.items():
        if name in _IDLE:
            _check_idle(name, tensor)
        elif name not in names:
            raise ModelError(f"the tensor {name!r} is none of MiniMol's: it would be left over")
        else:
            _check(name, tensor, own[names[name]])
            scale = 1 / _BASE_WIDTHS if _READOUT.fullmatch(names[name]) else 1.0
            state[names[name]] = tensor.float() * scale
    network.load_state_dict(state)
    return network.eval()


def released_names(network: PretrainedMiniMol) -> dict[str, str]:
    """The names of our tensors by those in the checkpoint, in the order of ours.

    Args:
        network: any, whose number of layers counts.
    """
    places = _places(len(network.trunk.layers) + 2)
    found: dict[str, str] = {}
    for name in network.state_dict():
        module, _, leaf = name.rpartition(".")
        found[f"{places[module]}.{leaf}"] = name
    return found


def _places(layers: int) -> dict[str, str]:
    """Modules with tensors by their names here and in the release."""
    found = dict(_PLACES)
    for own, released in (("trunk.atoms", "model.pre_nn.layers."), ("trunk.bonds", "model.pre_nn_edges.layers.")):
        found |= _dense(own, released) | {f"{own}.4": f"{released}1.normalization"}
    for level in ("graph", "node"):
        found |= _dense(f"shared.{level}", f"{_SHARED}{level}.graph_output_nn.layers.")
    for head in OUTPUTS:
        found |= _dense(f"heads.{head}", f"{_HEADS}task_heads.{head}.layers.")
    between = [f"trunk.layers.{place}" for place in range(layers - 2)]
    gines = ["trunk.first", *(f"{layer}.gine" for layer in between), "trunk.last"]
    for place, own in enumerate(gines):
        found |= _gine(own, f"model.gnn.layers.{place}.")
    for place, own in enumerate(["trunk.first_node", *(f"{layer}.virtual" for layer in between)]):
        node = f"model.gnn.virtual_node_layers.{place}."
        found[f"{own}.fc"] = f"{node}fc_layer.linear"
        found[f"{own}.norm"] = f"{node}fc_layer.normalization"
        found[f"{own}.project"] = f"{node}node_projection"
    return found


def _dense(own: str, released: str) -> dict[str, str]:
    """Two linear layers, a norm after the first."""
    return {
        f"{own}.0": f"{released}0.linear",
        f"{own}.1": f"{released}0.normalization",
        f"{own}.3": f"{released}1.linear",
    }


def _gine(own: str, released: str) -> dict[str, str]:
    mlp = f"{released}model.nn.fully_connected."
    return {
        own: f"{released}model",  # its `eps`
        f"{own}.bond": f"{released}model.lin",
        f"{own}.mlp.up": f"{mlp}0.linear",
        f"{own}.mlp.norm": f"{mlp}0.normalization",
        f"{own}.mlp.down": f"{mlp}1.linear",
        f"{own}.norm": f"{released}norm_layer",
    }


def _check_idle(name: str, tensor: Tensor) -> None:
    if not (tensor == _IDLE[name]).all():
        raise ModelError(f"the tensor {name!r} is of a norm that MiniMol never calls, and is not {_IDLE[name]:g}")


def _check(name: str, tensor: Tensor, own: Tensor) -> None:
    if tensor.shape != own.shape:
        raise ModelError(f"the tensor {name!r} has the shape {(*tensor.shape,)}, not {(*own.shape,)}")
    if not tensor.isfinite().all():
        raise ModelError(f"the tensor {name!r} holds numbers that are not finite")
