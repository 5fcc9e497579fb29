"""What a converted model asks of a stock architecture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from ...anatomy import Anatomy, Attention, describe, table_at
from ...errors import ModelError
from ...hub.derived_classes import PREFIX
from ..layer import MoEFFN
from .dialects import DIALECTS, Dialect, Multipliers
from .features import (
    ACTIVATION,
    CHOICE_BIAS,
    DENSE_BETWEEN,
    DENSE_FIRST,
    HEAD_WIDTH,
    MULTIPLIERS,
    SHARED,
    SIGMOID,
    SOME_WINDOWS,
    UNNORMALISED,
    WINDOW,
    attention_features,
    foreign_parts,
    has_choice_bias,
    routing_of,
    scaled,
)

_CARRIED = (
    *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "hidden_act"),
    *("max_position_embeddings", "initializer_range", "rms_norm_eps", "use_cache", "attention_dropout"),
    *("pad_token_id", "bos_token_id", "eos_token_id", "rope_parameters"),
)
ROWS = 8  # the default experts kernel of transformers wants rows of a multiple of 16 bytes: 8 numbers in bfloat16


@dataclass(frozen=True)
class Source:
    """A converted causal language model: `layers` has its mixtures, None for a block that is still dense.

    How it is to be written: experts and the shared block get a multiple of `rows` neurons; `folded`, multipliers are in
    the weights, and the head is not tied any more; `repeated`, each expert has the neurons of the shared block as well,
    which comes to the same where weights sum to 1.
    """

    model: Any
    anatomy: Anatomy
    layers: tuple[MoEFFN | None, ...]
    rows: int = ROWS
    folded: bool = False
    repeated: bool = False

    @classmethod
    def of(cls, model: nn.Module, rows: int = ROWS) -> Source:
        """Raises `ModelError` for another kind of model, and for one without a mixture."""
        family = getattr(getattr(model, "config", None), "model_type", None)
        name = type(model).__name__.removeprefix(PREFIX)
        if family not in DIALECTS or not name.endswith("ForCausalLM"):
            raise ModelError(
                f"no stock mixture of experts has the form of a {name} (only decoders like Llama with a language head "
                "have one): use sparsebench.models.save(model, path)"
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
        return cls(model, anatomy, tuple(layers), rows)

    @property
    def dialect(self) -> Dialect:
        """What the family says otherwise than Llama."""
        return DIALECTS[self.model.config.model_type]

    @property
    def multipliers(self) -> Multipliers | None:
        """Those of a family that has any."""
        return self.dialect.multipliers(self.model.config)

    @property
    def factor(self) -> float:
        """What the output of a mixture is multiplied by."""
        return self.multipliers.residual if self.folded and self.multipliers is not None else 1.0

    def forms(self) -> Iterator[Source]:
        """The ways in which it can be written, best first."""
        folds = (False,) if self.multipliers is None else (False, True)
        repeats = (False,) if not self.shared_width or UNNORMALISED in self.features else (False, True)
        for repeated in repeats:
            for folded in folds:
                yield replace(self, folded=folded, repeated=repeated)

    @property
    def head_dim(self) -> int:
        """The width of a head."""
        return next(self._attentions()).head_dim

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
        return routing_of(self.mixtures[0])

    @property
    def expert_width(self) -> int:
        """M: neurons of the largest expert, rounded up to a multiple of `rows`."""
        largest = max(max(layer.experts.sizes) for layer in self.mixtures)
        return self.rounded(largest + (self._shared_size if self.repeated else 0))

    @property
    def shared_width(self) -> int:
        """Neurons of the largest shared block, rounded up as experts are; 0 if there is none to write."""
        return 0 if self.repeated else self.rounded(self._shared_size)

    @property
    def _shared_size(self) -> int:
        return max((sum(layer.shared.sizes) for layer in self.mixtures if layer.shared), default=0)

    def rounded(self, neurons: int) -> int:
        """The next multiple of `rows`."""
        return -(-neurons // self.rows) * self.rows

    @property
    def windows(self) -> tuple[bool, ...]:
        """Whether the attention of each block has a sliding window."""
        config = self.model.config
        if getattr(config, "sliding_window", None) is None:
            return (False,) * len(self.layers)
        if config.model_type in ("mistral", "phi3"):
            return (True,) * len(self.layers)
        return tuple(kind == "sliding_attention" for kind in config.layer_types)

    @property
    def features(self) -> frozenset[str]:
        """What the stock architecture must have, beyond renormalised softmax routing in every block."""
        config = self.model.config
        score, renorm, _, _ = self.routing
        between = self.dense != list(range(len(self.dense)))
        found = {
            SIGMOID: score == "sigmoid",
            CHOICE_BIAS: any(has_choice_bias(layer) for layer in self.mixtures),
            UNNORMALISED: not renorm,
            SHARED: self.shared_width > 0,
            DENSE_FIRST: bool(self.dense) and not between,
            DENSE_BETWEEN: between,
            WINDOW: all(self.windows),
            SOME_WINDOWS: any(self.windows) and not all(self.windows),
            ACTIVATION: (getattr(config, "hidden_act", None) or config.hidden_activation) != "silu",
            HEAD_WIDTH: self.head_dim * config.num_attention_heads != config.hidden_size,
            MULTIPLIERS: self.multipliers is not None and not self.folded,
        }
        found |= attention_features(tuple(self._attentions()))
        rotation = (config.rope_parameters or {}).get("rope_type", "default")
        found[scaled(rotation)] = rotation != "default"
        return frozenset(feature for feature, present in found.items() if present) | self.dialect.features(config)

    def _attentions(self) -> Iterator[Attention]:
        for block in self.anatomy.blocks:
            assert block.attention is not None
            yield block.attention

    def foreign(self) -> list[str]:
        """Parts that no stock architecture has, in words; empty when the blocks can be written."""
        found: set[str] = set()
        for layer in self.mixtures:
            found.update(foreign_parts(layer))
        for attention in self._attentions():
            kind = type(attention.site.get())
            if not kind.__module__.startswith("transformers."):
                found.add(f"attention of the kind {kind.__name__!r}")
        if len({routing_of(layer) for layer in self.mixtures}) > 1:
            found.add("blocks that route differently")
        return sorted(found)

    def config(self) -> dict[str, Any]:
        """Configuration fields that every architecture takes over unchanged."""
        config = self.model.config
        carried = {name: getattr(config, name) for name in _CARRIED}
        head = self.model.get_output_embeddings()
        embeddings = self.model.get_input_embeddings()
        tied = head.weight is embeddings.weight and not self.folded
        return carried | {
            "head_dim": self.head_dim,
            "tie_word_embeddings": tied,
            "dtype": embeddings.weight.dtype,
        }

    def kept(self) -> dict[str, Tensor]:
        """The tensors of everything that is no mixture, by Llama's names."""
        prefixes = []
        for block, layer in zip(self.anatomy.blocks, self.layers, strict=True):
            if layer is not None and block.mlp is not None:
                prefixes.append(f"{block.mlp.site.path}.")
        mixtures = tuple(prefixes)
        state = {name: value for name, value in self.model.state_dict().items() if not name.startswith(mixtures)}
        state = self.dialect.state(self.model.config, state)
        if self.folded and self.multipliers is not None:
            return self.multipliers.folded(state, self.head_dim)
        return state
