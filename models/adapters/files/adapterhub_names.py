"""Names of tensors of AdapterHub's library `adapters`, and where each of them is here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from torch import Tensor

from ...anatomy import Anatomy, Site
from ...errors import ModelError
from ..adapter_set import AdapterSet
from ..kinds.lora import LoRALayer
from ..kinds.prefix import PrefixLayer
from ..layer import AdapterLayer
from ..wrapping import path_without_wrappers

_POST = {"attention": "attention.output.adapters", "ffn": "output.adapters"}
_PRE = {"attention": "attention_adapters.adapters", "ffn": "output.output_adapters.adapters"}
_BERT = {"q": "attention.self.query.loras", "k": "attention.self.key.loras", "v": "attention.self.value.loras"}
_VIT = {name: path.replace(".self.", ".attention.") for name, path in _BERT.items()}
_FFN = {"up": "intermediate.dense.loras", "down": "output.dense.loras"}
PLACES: Mapping[str, Mapping[str, str]] = {
    "bert": _POST | _BERT | _FFN,
    "roberta": _POST | _BERT | _FFN,
    "vit": _PRE | _VIT | _FFN,
}
"""By kind of model: what holds the adapters of a part of a block, below the block."""
_BLOCK = re.compile(r"(?:.*\.)?encoder\.layer\.(?P<index>\d+)\.(?P<below>.+)")
_PREFIX = "prefix_tuning.prefix_tunings"
_OLD = re.compile(r"\b(?:attention|layer)_text_(?:task|lang)_adapters\b")
_NORMS = {"adapter_norm_before": "adapter.norm_in", "adapter_norm_after": "adapter.norm_out"}


class Part(NamedTuple):
    """A tensor in its place: number of the block, part of it, name in the adapter there."""

    block: int
    part: str
    name: str


def parts_of(tensors: Mapping[str, Tensor], kind: str, name: str) -> tuple[dict[Part, Tensor], dict[str, Tensor]]:
    """The tensors by their parts of blocks, and those of the prefix, which is one for the model, by name.

    Args:
        tensors: of a file.
        kind: the kind of model.
        name: of the adapter.

    Raises:
        ModelError: tensors of no adapter that is read here.
    """
    holders = {f"{path}.{name}.": part for part, path in PLACES[kind].items()}
    found: dict[Part, Tensor] = {}
    prefix: dict[str, Tensor] = {}
    for key, value in tensors.items():
        key = _OLD.sub("adapters", key)
        _, of_prefix, rest = key.partition(f".prefix_tunings.{name}.self_prefix.")
        if of_prefix:
            # The blocks hold one and the same; each names it.
            if rest in prefix and not prefix[rest].equal(value):
                raise ModelError(f"{key} differs from what other blocks hold under this name")
            prefix[rest] = value
            continue
        block = _BLOCK.fullmatch(key)
        holder = next((holder for holder in holders if block and block["below"].startswith(holder)), None)
        if block is None or holder is None:
            raise ModelError(f"{key} has no place in a {kind}")
        found[Part(int(block["index"]), holders[holder], block["below"].removeprefix(holder))] = value
    return found, prefix


def path_of(part: Part, kind: str, name: str) -> str:
    """The name of a tensor in a file, without that of the body."""
    return f"encoder.layer.{part.block}.{PLACES[kind][part.part]}.{name}.{part.name}"


def prefix_paths(parameter: str, blocks: list[int], kind: str, name: str) -> Iterator[str]:
    """The names under which a file has a tensor of the prefix, without that of the body."""
    attention = "attention.self" if kind != "vit" else "attention.attention"
    below = f"prefix_tunings.{name}.self_prefix.{parameter}"
    for block in blocks:
        yield f"encoder.layer.{block}.{attention}.prefix_tuning.pool.{below}"
    yield f"prefix_tuning.{below}"


def layers_by_part(adapters: AdapterSet, anatomy: Anatomy) -> dict[tuple[int, str], AdapterLayer]:
    """The layers of a set by block and part; a prefix is the part "prefix". Raises `ModelError` for two at one part."""
    places = _places(anatomy)
    found: dict[tuple[int, str], AdapterLayer] = {}
    for place, layer in adapters.layers():
        kind = ""
        if isinstance(layer, LoRALayer):
            kind = "lora "
        if isinstance(layer, PrefixLayer):
            kind = "prefix "
        where = places[f"{kind}{place}"]
        if where in found:
            raise ModelError(f"{where[1]} of block {where[0]} has two adapters of this set, of which a file names one")
        found[where] = layer
    return found


def _places(anatomy: Anatomy) -> dict[str, tuple[int, str]]:
    """Block and part by the name of the place where the layers of a kind lie, after that of the kind."""
    places: dict[str, tuple[int, str]] = {}
    for block in anatomy.blocks:
        attention = block.attention
        mlp = block.mlp
        assert attention is not None and mlp is not None
        linears = {"q": attention.q, "k": attention.k, "v": attention.v, "up": mlp.up, "down": mlp.down}
        for part, site in linears.items():
            if isinstance(site, Site):
                places[f"lora {_path(anatomy, site)}"] = (block.index, part)
        for site in (mlp.site, mlp.output, mlp.add_norm, block.norms[-1], block.site):
            if site is not None:
                places[_path(anatomy, site)] = (block.index, "ffn")
        if attention.o is not None:
            places[_path(anatomy, attention.o)] = (block.index, "attention")
        places[f"prefix {_path(anatomy, attention.site)}"] = (block.index, "prefix")
    return places


def _path(anatomy: Anatomy, site: Site) -> str:
    return path_without_wrappers(anatomy.model, site.path)


def names_in(layer: AdapterLayer) -> dict[str, str]:
    """Names in an adapter here by those that a file has for them (a norm before it comes under two there)."""
    if isinstance(layer, LoRALayer):
        return {"lora_A": "lora_A.0.weight", "lora_B": "lora_B.0.weight"}
    own = layer.adapter_state()
    down = 0
    names: dict[str, str] = {}
    for theirs, ours in _NORMS.items():
        if f"{ours}.weight" in own:
            names |= {f"{theirs}.{leaf}": f"{ours}.{leaf}" for leaf in ("weight", "bias")}
    if "adapter.norm_in.weight" in own:
        names |= {f"adapter_down.0.{leaf}": f"adapter.norm_in.{leaf}" for leaf in ("weight", "bias")}
        down = 1
    for leaf in ("weight", "bias"):
        names |= {f"adapter_down.{down}.{leaf}": f"adapter.down.{leaf}", f"adapter_up.{leaf}": f"adapter.up.{leaf}"}
    if "scale" in own:
        names["scaling"] = "scale"
    return names
