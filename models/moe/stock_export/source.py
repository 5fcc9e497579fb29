"""What a converted model asks of a stock architecture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ...anatomy import Anatomy, Attention, describe, table_at
from ...errors import ModelError
from ...hub.derived_classes import PREFIX
from ..checkpoint.skeleton import own_router
from ..layer import MoEFFN

SIGMOID = "sigmoid scores"
CHOICE_BIAS = "a bias on the choice of experts (balance='bias')"
UNNORMALISED = "weights that do not sum to 1"
SHARED = "a shared block"
DENSE_FIRST = "dense blocks before the mixtures"
DENSE_BETWEEN = "dense blocks among the mixtures"
QK_NORM = "norms of queries and keys"
QKV_BIAS = "biases of queries, keys and values"
ATTENTION_BIAS = "biases of all attention projections"
WINDOW = "a sliding window"
SOME_WINDOWS = "a sliding window in some blocks only"

_FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
_CARRIED = (
    *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "hidden_act"),
    *("max_position_embeddings", "initializer_range", "rms_norm_eps", "use_cache", "attention_dropout"),
    *("pad_token_id", "bos_token_id", "eos_token_id", "rope_parameters"),
)
_ROWS = 8  # the default experts kernel of transformers wants rows of a multiple of 16 bytes: 8 numbers in bfloat16


@dataclass(frozen=True)
class Source:
    """A converted causal language model: `layers` has its mixtures, None for a block that is still dense."""

    model: Any
    anatomy: Anatomy
    layers: tuple[MoEFFN | None, ...]

    @classmethod
    def of(cls, model: nn.Module) -> Source:
        """Raises `ModelError` for another kind of model, and for one without a mixture."""
        family = getattr(getattr(model, "config", None), "model_type", None)
        name = type(model).__name__.removeprefix(PREFIX)
        if family not in _FAMILIES or not name.endswith("ForCausalLM"):
            raise ModelError(
                f"no stock mixture of experts has the form of a {name} (only Llama, Mistral, Qwen2 and Qwen3 with a "
                "language head have one): use sparsebench.models.save(model, path)"
            )
        anatomy = describe(model)
        layers: list[MoEFFN | None] = []
        for block in anatomy.blocks:
            module = None if block.mlp is None else block.mlp.site.get()
            layers.append(module if isinstance(module, MoEFFN) else None)
        if not any(layers):
            raise ModelError("the model has no layer made by sparsebench.models.moe.convert: it is dense")
        if any(layer is not None and table_at(layer, "experts") is not None for layer in layers):
            raise ModelError(
                "experts of the model were merged, replaced or dropped while the router stayed as it was, which no "
                "stock mixture can say: use sparsebench.models.save(model, path)"
            )
        return cls(model, anatomy, tuple(layers))

    @property
    def mixtures(self) -> list[MoEFFN]:
        """The converted layers."""
        return [layer for layer in self.layers if layer is not None]

    @property
    def dense(self) -> list[int]:
        """Indices of the blocks that are still dense."""
        return [index for index, layer in enumerate(self.layers) if layer is None]

    @property
    def routing(self) -> tuple[str, bool, int, int]:
        """Score ("softmax" or "sigmoid"), whether the weights sum to 1, top_k, N: the same in all mixtures."""
        return _routing(self.mixtures[0])

    @property
    def expert_width(self) -> int:
        """M: neurons of the largest expert, rounded up to whole rows of the kernels of transformers."""
        largest = max(max(layer.experts.sizes) for layer in self.mixtures)
        return -(-largest // _ROWS) * _ROWS

    @property
    def shared_width(self) -> int:
        """Neurons of the largest shared block, 0 if there is none."""
        return max((sum(layer.shared.sizes) for layer in self.mixtures if layer.shared), default=0)

    @property
    def windows(self) -> tuple[bool, ...]:
        """Whether the attention of each block has a sliding window."""
        config = self.model.config
        if getattr(config, "sliding_window", None) is None:
            return (False,) * len(self.layers)
        if config.model_type == "mistral":
            return (True,) * len(self.layers)
        return tuple(kind == "sliding_attention" for kind in config.layer_types)

    @property
    def features(self) -> frozenset[str]:
        """What the stock architecture must have, beyond renormalised softmax routing in every block."""
        score, renorm, _, _ = self.routing
        biased = False
        out_biased = False
        normed = False
        for attention in self._attentions():
            biased |= any(site.get().bias is not None for site in attention.linears)
            out_biased |= attention.o is not None and attention.o.get().bias is not None
            normed |= hasattr(attention.site.get(), "q_norm")
        between = self.dense != list(range(len(self.dense)))
        found = {
            SIGMOID: score == "sigmoid",
            CHOICE_BIAS: any(_has_choice_bias(layer) for layer in self.mixtures),
            UNNORMALISED: not renorm,
            SHARED: self.shared_width > 0,
            DENSE_FIRST: bool(self.dense) and not between,
            DENSE_BETWEEN: between,
            QK_NORM: normed,
            QKV_BIAS: biased and not out_biased,
            ATTENTION_BIAS: out_biased,
            WINDOW: all(self.windows),
            SOME_WINDOWS: any(self.windows) and not all(self.windows),
        }
        return frozenset(feature for feature, present in found.items() if present)

    def _attentions(self) -> Iterator[Attention]:
        for block in self.anatomy.blocks:
            assert block.attention is not None
            yield block.attention

    def foreign(self) -> list[str]:
        """Parts that no stock architecture has, in words; empty when the blocks can be written."""
        found: set[str] = set()
        for layer in self.mixtures:
            found.update(_foreign(layer))
        for attention in self._attentions():
            kind = type(attention.site.get())
            if not kind.__module__.startswith("transformers."):
                found.add(f"attention of the kind {kind.__name__!r}")
        if len({_routing(layer) for layer in self.mixtures}) > 1:
            found.add("blocks that route differently")
        return sorted(found)

    def config(self) -> dict[str, Any]:
        """Configuration fields that every architecture takes over unchanged."""
        config = self.model.config
        carried = {name: getattr(config, name) for name in _CARRIED}
        head = self.model.get_output_embeddings()
        embeddings = self.model.get_input_embeddings()
        tied = head.weight is embeddings.weight
        return carried | {
            "head_dim": next(self._attentions()).head_dim,
            "tie_word_embeddings": tied,
            "dtype": embeddings.weight.dtype,
        }

    def kept(self) -> dict[str, Tensor]:
        """The state of everything that is no mixture."""
        prefixes = []
        for block, layer in zip(self.anatomy.blocks, self.layers, strict=True):
            if layer is not None and block.mlp is not None:
                prefixes.append(f"{block.mlp.site.path}.")
        mixtures = tuple(prefixes)
        return {name: value for name, value in self.model.state_dict().items() if not name.startswith(mixtures)}


def _has_choice_bias(layer: MoEFFN) -> bool:
    bias = layer.router.choice_bias
    return bias is not None and bool(bias.value.any())


def _routing(layer: MoEFFN) -> tuple[str, bool, int, int]:
    config = layer.config
    score = "sigmoid" if config.score == "sigmoid" else "softmax"
    renorm = config.renorm or config.score in ("topk_softmax", "none")
    return score, renorm, config.top_k, len(layer.experts.sizes)


def _foreign(layer: MoEFFN) -> Iterator[str]:
    config = layer.config
    if config.router != "linear":
        yield f"a router of the kind {config.router!r}"
    elif own := own_router(layer.router, "linear"):
        yield own
    if config.score == "none" and config.top_k > 1:
        yield "equal weights of the chosen experts (score='none')"
    if layer.alignment is not None and layer.alignment.offset.any():
        yield "an offset (align=True)"
    biased = layer.down_bias is not None or layer.experts.bias is not None
    if biased or (layer.shared is not None and layer.shared.bias is not None):
        yield "biases in the feed-forward layers"
    if config.score != "sigmoid" and _has_choice_bias(layer):
        yield "a bias on the choice of experts (balance='bias') by softmax scores"
