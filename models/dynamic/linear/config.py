"""Configuration of linear mixtures: experts in the place of one linear layer, and which layers become one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ...errors import ModelError, check_choice
from ...moe.routing.config import Balance, Noise, RoutingConfig
from ..config import DynamicConfig

Level = Literal["token", "sentence"]
ExpertInit = Literal["copy", "random"]
GateInit = Literal["normal", "zeros"]

FFN_TARGETS = ("gate", "up", "down")
ATTENTION_TARGETS = ("q", "k", "v", "qkv", "o")


@dataclass(frozen=True, kw_only=True)
class MixtureConfig(DynamicConfig):
    """`num_kernels` experts in the place of one linear layer, of which each token uses `top_k` by a gate of the layer.

    The gate is that of Shazeer et al. (arXiv 1701.06538): noisy top-k, a softmax over the chosen logits, so that the
    weights sum to 1, and CV^2 of importance and load as a loss. `blocks`, `noise` (on each copy) and `seed` as in
    `DynamicConfig`.

    Attributes:
        num_kernels: experts.
        top_k: experts that a token uses.
        level: each token has experts of its own, or all tokens of a "sentence" (an entry of the batch) have those that
            the gate chooses by the mean of its real tokens; not in a causal model, where the mean would show what
            comes.
        targets: which linear layers, by their names in the anatomy: "gate", "up", "down" of an FFN (a fused matrix of
            gate and up by both names), "q", "k", "v", "qkv", "o" of an attention. Each is a mixture with its own gate,
            as PAD-Net has both linear layers of BERT's FFN (`pos_moe` both).
        expert_init: every expert a "copy" of the layer, or "random" in the law of `nn.Linear`, as the released PadMoE
            starts.
        gate_init: "normal" is N(0, 0.02^2); "zeros" is the release's: all logits tie until the gate has moved, so that
            without noise every token takes the same experts.
        gate_noise: noise on the logits, as `RoutingConfig.noise`.
        balance: as in `RoutingConfig`.
        balance_coef: as in `RoutingConfig`.
        bias_rate: as in `RoutingConfig`.
        z_coef: as in `RoutingConfig`.
        straight_through: as in `RoutingConfig`.
        faithful: with a partition, each expert is W_e + W_static without mask and scale factors, which the released
            PadMoE computes in the place of the paper's formula.

    Raises:
        ModelError: a value that cannot work.
    """

    num_kernels: int = 8
    top_k: int = 2
    level: Level = "token"
    targets: tuple[str, ...] = FFN_TARGETS
    expert_init: ExpertInit = "copy"
    gate_init: GateInit = "normal"
    gate_noise: Noise = "shazeer"
    balance: Balance = "cv2"
    balance_coef: float = 1e-2
    bias_rate: float = 1e-3
    z_coef: float = 0.0
    straight_through: bool = False
    faithful: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("level", self.level, get_args(Level))
        check_choice("expert_init", self.expert_init, get_args(ExpertInit))
        check_choice("gate_init", self.gate_init, get_args(GateInit))
        known = (*FFN_TARGETS, *ATTENTION_TARGETS)
        if not self.targets:
            raise ModelError(f"targets is empty: name some of {', '.join(known)}")
        for target in self.targets:
            check_choice("targets", target, known)
        assert self.routing  # checks the rest

    @property
    def routing(self) -> RoutingConfig:
        """The gate, as the routers of mixtures know it."""
        return RoutingConfig(
            num_experts=self.num_kernels,
            top_k=self.top_k,
            score="topk_softmax",
            noise=self.gate_noise,
            straight_through=self.straight_through,
            scale=1.0,
            balance=self.balance,
            balance_coef=self.balance_coef,
            bias_rate=self.bias_rate,
            z_coef=self.z_coef,
        )
