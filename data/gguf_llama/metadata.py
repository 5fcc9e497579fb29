"""The sizes of a Llama in a GGUF file, checked, and the tensors that such a model has."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .head import Head

MOST = {
    "vocab_size": 1 << 20,
    "embedding_length": 1 << 16,
    "feed_forward_length": 1 << 18,
    "block_count": 1 << 10,
    "attention.head_count": 1 << 10,
    "attention.head_count_kv": 1 << 10,
    "context_length": 1 << 24,
}
"""Far above any model: a damaged number must not become a loop or an allocation."""
_FURTHER = ("rope.freq_base", "attention.layer_norm_rms_epsilon", "rope.dimension_count", "rope.scaling.type")
_HEAD_WIDTHS = ("rope.dimension_count", "attention.key_length", "attention.value_length")


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Widths and counts, with the names of the GGUF keys."""

    vocabulary: int
    width: int
    hidden: int
    blocks: int
    heads: int
    key_heads: int
    context: int
    epsilon: float
    rotary_base: float
    tied: bool
    """Whether the output matrix is that of the embedding."""

    @property
    def head_width(self) -> int:
        """Columns of one head."""
        return self.width // self.heads


def get(head: Head, key: str) -> Any:
    """A value of the metadata. Raises `WeightsError` if there is none."""
    if key not in head.values:
        raise head.error(f"the key {key!r} is missing; is it a Llama-architecture model?")
    return head.values[key]


def sizes(head: Head) -> Sizes:
    """Raises `WeightsError` for metadata that no Llama has, and for such that this reader does not know."""
    if get(head, "general.architecture") != "llama":
        raise head.error(f"the architecture is {head.values['general.architecture']!r}; only 'llama' is known")
    counts = {key: _whole(head, f"llama.{key}", most) for key, most in MOST.items()}
    found = Sizes(
        vocabulary=counts["vocab_size"],
        width=counts["embedding_length"],
        hidden=counts["feed_forward_length"],
        blocks=counts["block_count"],
        heads=counts["attention.head_count"],
        key_heads=counts["attention.head_count_kv"],
        context=counts["context_length"],
        epsilon=_between(head, "llama.attention.layer_norm_rms_epsilon", 0.0, 0.1),
        rotary_base=_between(head, "llama.rope.freq_base", 1.0, 1e12),
        tied="output.weight" not in head.tensors,
    )
    _check_heads(head, found)
    _refuse_unknown(head)
    return found


def expected_tensors(found: Sizes) -> dict[str, tuple[int, ...]]:
    """Shapes (rows first) of all tensors that the model has, by their names in the file."""
    keys = found.key_heads * found.head_width
    block = {
        "attn_norm": (found.width,),
        "ffn_norm": (found.width,),
        "attn_q": (found.width, found.width),
        "attn_k": (keys, found.width),
        "attn_v": (keys, found.width),
        "attn_output": (found.width, found.width),
        "ffn_gate": (found.hidden, found.width),
        "ffn_up": (found.hidden, found.width),
        "ffn_down": (found.width, found.hidden),
    }
    shapes = {"token_embd.weight": (found.vocabulary, found.width), "output_norm.weight": (found.width,)}
    if not found.tied:
        shapes["output.weight"] = (found.vocabulary, found.width)
    for number in range(found.blocks):
        shapes |= {f"blk.{number}.{name}.weight": shape for name, shape in block.items()}
    return shapes


def check_tensors(head: Head, found: Sizes) -> None:
    """Raises `WeightsError` for the first tensor that is missing, unknown or of another shape."""
    expected = expected_tensors(found)
    for name, shape in expected.items():
        if name not in head.tensors:
            raise head.error(f"tensor {name!r} is missing")
        if head.tensors[name].shape != shape:
            raise head.error(f"tensor {name!r} has the shape {head.tensors[name].shape}, not {shape}")
    for name in head.tensors:
        if name not in expected:
            raise head.error(f"tensor {name!r} is none of a Llama with {found.blocks} blocks")


def _whole(head: Head, key: str, most: int) -> int:
    value = get(head, key)
    if type(value) is not int or not 1 <= value <= most:
        raise head.error(f"{key} is {value!r}: not a whole number from 1 to {most}")
    return value


def _between(head: Head, key: str, low: float, high: float) -> float:
    value = get(head, key)
    if type(value) is not float or not math.isfinite(value) or not low < value < high:
        raise head.error(f"{key} is {value!r}: not a number between {low:g} and {high:g}")
    return value


def _check_heads(head: Head, found: Sizes) -> None:
    rules: dict[str, Callable[[], bool]] = {
        f"{found.heads} heads do not divide a width of {found.width}": lambda: found.width % found.heads == 0,
        f"{found.key_heads} key heads do not divide {found.heads} heads": lambda: found.heads % found.key_heads == 0,
        f"heads of {found.head_width} columns have no rotary pairs": lambda: found.head_width % 2 == 0,
    }
    for problem, holds in rules.items():
        if not holds():
            raise head.error(problem)
    for key in _HEAD_WIDTHS:
        value = head.values.get(f"llama.{key}", found.head_width)
        if value != found.head_width:
            raise head.error(f"llama.{key} is {value!r}: only heads of width {found.head_width} are known here")


def _refuse_unknown(head: Head) -> None:
    """A key of the model that is not read would change it, were it read: scaled rotary angles, experts."""
    known = {*MOST, *_FURTHER, *_HEAD_WIDTHS}
    for key in head.values:
        if key.startswith("llama.") and key.removeprefix("llama.") not in known:
            raise head.error(f"{key} is not known here: the model would be another one without it")
    if head.values.get("llama.rope.scaling.type", "none") != "none":
        raise head.error("scaled rotary angles (llama.rope.scaling.type) are not known here")
