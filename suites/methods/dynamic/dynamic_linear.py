"""Dynamic linear layers: each linear layer of the FFNs is a mixture of experts with a gate of its own

The fully dynamic mixture that PAD-Net (He et al., arXiv 2211.05528) starts from: experts are copies of the pre-trained
layer, each token uses `top_k` of them by a noisy top-k gate (Shazeer et al., arXiv 1701.06538), whose balance loss
trains with it. At first the model computes what it did. In a chain, `pad_net` makes a part of the weights static.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from sparsebench.models.anatomy import describe
from sparsebench.models.dynamic import MixtureConfig, make_dynamic
from sparsebench.models.errors import ModelError
from sparsebench.models.moe.routing.statistics import aux_loss

from ...contracts.context import Context
from ...contracts.method import NotApplicable
from ...contracts.traits import CAUSAL, FFN, TRAINING_DATA
from ...training.callbacks import Callback
from ...training.trainable import Trains
from ..moe._dense_ffns import check_has_ffn
from ..shared._balance_bias import BalanceBias
from ..shared._tuned import TunedMethod
from ._dynamic import DYNAMIC


@dataclass(frozen=True, kw_only=True)
class DynamicLinear(TunedMethod):
    """`top_k` of `experts` copies of every linear layer in the FFNs of the last `blocks` blocks."""

    train: Trains = "all"
    """What trains; copies differ from the layer by training alone."""
    experts: int = 4
    """Copies of each linear layer; 8 in the paper's runs on BERT."""
    top_k: int = 2
    """Experts per token; with 1 the gate gets the gradient of its probability (straight-through)."""
    level: Literal["token", "sentence"] = "token"
    """Whether each token has experts of its own, or all tokens of an input have the same; not in a causal model."""
    targets: tuple[str, ...] = ("gate", "up", "down")
    """Which linear layers of an FFN become mixtures: gate, up, down."""
    blocks: Literal["all"] | int = "all"
    """The last blocks that get mixtures."""
    noise: float = 0.0
    """Standard deviation of what is added to each copy, as a fraction of the layer's."""
    balance_coef: float = 1e-2
    """Weight of the balance loss, CV² of importance and of load."""

    def __post_init__(self) -> None:
        self.mixture(1, 0)
        if self.blocks != "all" and self.blocks < 1:
            raise ValueError(f"blocks={self.blocks}: 'all', or so many of the last blocks, from 1 on")

    @property
    def needs(self) -> frozenset[str]:
        """A feed-forward layer, and training data if something trains."""
        if self.train == "none":
            return frozenset({FFN})
        return frozenset({FFN, TRAINING_DATA})

    @property
    def gives(self) -> frozenset[str]:
        """Weights that depend on the input."""
        return frozenset({DYNAMIC})

    def mixture(self, blocks: int, seed: int) -> MixtureConfig:
        """The mixtures in a model of so many blocks. Raises `ModelError` for a config that cannot be."""
        last = blocks if self.blocks == "all" else min(self.blocks, blocks)
        return MixtureConfig(
            num_kernels=self.experts,
            top_k=self.top_k,
            level=self.level,
            targets=self.targets,
            blocks=tuple(range(blocks - last, blocks)),
            noise=self.noise,
            balance_coef=self.balance_coef,
            straight_through=self.top_k == 1,
            seed=seed,
        )

    def transform(self, backbone: nn.Module, context: Context) -> nn.Module:
        """Put the mixtures in, in place. Raises `NotApplicable` where the model has no place for them."""
        check_has_ffn(backbone)
        anatomy = describe(backbone)
        if self.level == "sentence" and CAUSAL in anatomy.traits:
            raise NotApplicable("level: sentence, but a causal model may not see what comes")
        seed = int(torch.randint(2**31 - 1, (), generator=context.generator("mixture-gates")))
        try:
            model = make_dynamic(backbone, self.mixture(len(anatomy.blocks), seed))
        except ModelError as error:
            raise NotApplicable(str(error)) from error
        # In evaluation the gates draw no noise, whose weights then have no gradient.
        return model.train(self.train != "none")

    def loss(self, model: nn.Module, batch: object, context: Context) -> Tensor:
        """The task's loss and the balance loss of the gates."""
        return context.loss(model, batch) + aux_loss(model)

    def callbacks(self, context: Context) -> tuple[Callback, ...]:
        """Gates that balance by a bias move it."""
        return (*super().callbacks(context), BalanceBias())
