"""A linear layer whose weight is a mixture of experts, all of it or a part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...anatomy import LinearView
from ...errors import ModelError
from ...moe.routing.balance import balance_in_training
from ...moe.routing.choices import Choice, Routing
from ...moe.routing.router import LinearRouter
from ...state_loading import Problems
from ..copies import copied_bank, copied_bias
from ..layer import DynamicLayer
from .config import MixtureConfig
from .partitioned import compact_linear, partitioned_linear
from .products import routed_bias, routed_linear
from .token_masks import PassedMask

# Shapes: B sentences, L tokens of a sentence, T tokens, I inputs, O outputs, E experts, K chosen experts,
# N entries that the gate routes: tokens or sentences.

STD = 0.02
"""Standard deviation of random gate weights."""
SAID = "mixture"
"""Where the metadata of a state dict has what no tensor in it says."""


class MixtureLinear(DynamicLayer):
    """y = sum over the k chosen experts of g_e (x W_e^T + b_e), with g_e from a gate on x, which sum to 1.

    `bank` (E, O, I), `bias` (E, O) or None. With a partition the used weight of an expert is
    λ_d M ⊙ W_e + λ_s (1 - M) ⊙ W_static (PAD-Net, arXiv 2211.05528). Since the g_e sum to 1, its static part is
    multiplied once a token, not once for each chosen expert:

        y = x (λ_s (1 - M) ⊙ W_static)^T + sum_e g_e (x (λ_d M ⊙ W_e)^T + b_e)

    Where M has whole rows or columns, static and dynamic ones are products of their own, so that the work is
    (1 - κ) + k κ of that of a plain linear layer, against k of a full mixture. Where M has single entries the used
    weight of each expert is made and multiplied (work k), which is the same sum.

    A state dict says in its metadata how many experts a token uses, and does not load where another number is used.

    `aux`: the balance loss of the last forward pass in training mode, None before it; `moe.aux_loss(model)` adds all of
    them up. `token_mask`: which tokens of the next call are real (bool, as many as tokens; None: all), set by the block
    from its attention mask (`token_masks.py`): padding counts in no balance loss and in no mean of a sentence.
    """

    def __init__(self, bank_EOI: Tensor, bias_EO: Tensor | None, gate_EI: Tensor, config: MixtureConfig) -> None:
        super().__init__(bank_EOI, bias_EO)
        if len(bank_EOI) != config.num_kernels:
            raise ModelError(f"a bank of {len(bank_EOI)} experts for num_kernels={config.num_kernels}")
        self.mixture_config = config
        # The faithful sum of both weights has neither a mask nor anything that could be stored once.
        self.mixes_kernels = not config.faithful
        self.config = config.routing
        self.router = LinearRouter(self.config, gate_EI.detach().clone())
        self.aux: Tensor | None = None
        self.token_mask: Tensor | None = None
        self._passed = PassedMask()

    @classmethod
    def of(cls, linear: LinearView, config: MixtureConfig, generator: torch.Generator) -> MixtureLinear:
        """The mixture in the place of a linear layer, whose experts start as the configuration says."""
        outputs, inputs = linear.weight.shape
        experts = config.num_kernels
        if config.expert_init == "copy":
            bank_EOI = copied_bank(linear.weight, config, generator)
            bias_EO = copied_bias(linear.bias, config)
        else:
            bank_EOI = _uniform((experts, outputs, inputs), inputs, generator).to(linear.weight)
            bias_EO = None
            if linear.bias is not None:
                bias_EO = _uniform((experts, outputs), inputs, generator).to(linear.bias)
        gate_EI = torch.zeros(experts, inputs)
        if config.gate_init == "normal":
            gate_EI = STD * torch.randn(experts, inputs, generator=generator)
        return cls(bank_EOI, bias_EO, gate_EI.to(linear.weight), config)

    @property
    def in_features(self) -> int:
        """I."""
        return self.weight_shape[1]

    @property
    def out_features(self) -> int:
        """O."""
        return self.weight_shape[0]

    @property
    def counts_tokens(self) -> bool:
        """Whether it matters to the next call which tokens are real: to the mean of a sentence, or to balance."""
        return self.mixture_config.level == "sentence" or (self.training and self.config.counts_tokens)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., I) to (..., O); with sentences as entries of the first dimension."""
        choice = self._choose(x)
        x_TI = x.reshape(-1, self.in_features)
        if not torch.is_autocast_enabled(x.device.type):
            x_TI = x_TI.to(torch.promote_types(x.dtype, self.weight_dtype))
        y_TO = self._products(x_TI, choice.index, choice.weight)
        if self.bias is not None:
            y_TO = y_TO + routed_bias(choice.index, choice.weight, self.bias).to(y_TO.dtype)
        return y_TO.view(*x.shape[:-1], self.out_features)

    def mixing_coefficients(self, x: Tensor) -> Tensor:
        """(T, E) what each expert weighs for each token, 0 for those that were not chosen; no balance is counted."""
        choice = self._routed(x, self._passed.peek(self.token_mask, x))
        gates_TE = choice.weight.new_zeros(len(choice.index), self.num_kernels)
        return gates_TE.scatter(1, choice.index, choice.weight)

    def unused_parameters(self) -> list[nn.Parameter]:
        """With the faithful sum of both weights, which looks at no mask, the factors alone."""
        if self.mixture_config.faithful and self.partition is not None:
            return [self.partition.phi]
        return super().unused_parameters()

    def share_parameters(self) -> list[nn.Parameter]:
        """The parameters of the gate; none where a straight-through weight gives the static part its gradient, too."""
        has_static = self.partition is not None and self.partition.scale != "pruned"
        if has_static and self.config.straight_through:
            return []
        return list(self.router.parameters())

    def active_parameters(self) -> int:
        """Parameters that work on one token: what is always used, and k of the E experts."""
        experts = self.bank.numel() if self.compact is None else self.compact.dynamic.numel()
        if self.bias is not None:
            experts += self.bias.numel()
        everything = sum(parameter.numel() for parameter in self.parameters())
        return everything - experts + experts * self.router.top_k // self.num_kernels

    def extra_repr(self) -> str:
        """Sizes and level."""
        shape = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"{shape}, experts={self.num_kernels}, level={self.mixture_config.level!r}"

    def _choose(self, x: Tensor) -> Choice:
        """Chosen experts and weights of all tokens, (T, K) both; in training with the balance loss."""
        real = self._passed.take(self.token_mask, x)
        self.token_mask = None
        return self._routed(x, real, balanced=self.training)

    def _routed(self, x: Tensor, real: Tensor | None, *, balanced: bool = False) -> Choice:
        if self.mixture_config.level == "token":
            asked_NI = x.reshape(-1, self.in_features)
            counted = None if real is None else real.flatten()
        else:
            asked_NI = sentence_means(x, real)
            counted = None
        routing: Routing | Choice = self.router(asked_NI, choice_only=not self.training)
        if balanced:
            assert isinstance(routing, Routing)
            self.aux = balance_in_training(self.config, self.router, routing, counted)
        index, weight = routing.index, routing.weight
        if self.mixture_config.level == "sentence":
            # One choice for each sentence, said once for each of its tokens, by which the products go.
            length = x[0, ..., 0].numel()
            index = index.repeat_interleave(length, 0)
            weight = weight.repeat_interleave(length, 0)
        return Choice(index, weight)

    def _products(self, x_TI: Tensor, index_TK: Tensor, weight_TK: Tensor) -> Tensor:
        """(T, O) without bias."""
        # A straight-through weight is 1, but has a gradient, which the static part has to have, too.
        total_T1 = weight_TK.sum(-1, True) if self.config.straight_through else None
        if self.compact is not None:
            return compact_linear(x_TI, index_TK, weight_TK, self.compact, total_T1)
        if self.partition is None:
            return routed_linear(x_TI, index_TK, weight_TK, self.bank)
        if self.mixture_config.faithful:
            return routed_linear(x_TI, index_TK, weight_TK, self.bank + self.partition.static)
        return partitioned_linear(x_TI, index_TK, weight_TK, self.bank, self.partition, total_T1)

    def _said(self) -> dict[str, Any]:
        """What the outputs depend on and no tensor says."""
        config = self.mixture_config
        return {"top_k": config.top_k, "level": config.level, "faithful": config.faithful}

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if hasattr(destination, "_metadata"):  # which `state_dict` has, and `torch.save` keeps
            destination._metadata[prefix[:-1]][SAID] = self._said()

    def prepare_loading(
        self, state: dict[str, Any], prefix: str, metadata: Mapping[str, Any], problems: Problems
    ) -> None:
        """As every dynamic layer; the state of a mixture that does something else with its tensors is refused."""
        said = metadata.get(SAID)
        if said is not None and said != self._said():
            problems.errors.append(
                f"{prefix.rstrip('.')} is a mixture with {said} in the state, and here with {self._said()}"
            )
        super().prepare_loading(state, prefix, metadata, problems)

    def __getstate__(self) -> dict[str, Any]:
        """Without the last loss, whose graph can be neither copied nor pickled, and without a mask."""
        return {**self.__dict__, "aux": None, "token_mask": None, "_passed": PassedMask()}


def _uniform(shape: tuple[int, ...], inputs: int, generator: torch.Generator) -> Tensor:
    """The law of a fresh `nn.Linear`: uniform between -1 and 1 over the root of the number of inputs."""
    return (2 * torch.rand(shape, generator=generator) - 1) / inputs**0.5


def sentence_means(x: Tensor, real: Tensor | None) -> Tensor:
    """(B, I) means over all dimensions of `x` (B, ..., I) between the first and the last.

    `real`: bool, as many as tokens; None: all. A sentence without real tokens has mean 0. In float32 or better.
    Raises `ModelError` for an input without sentences, (B, I).
    """
    if x.dim() < 3:
        raise ModelError(
            f"a linear mixture that routes sentences got an input of shape {tuple(x.shape)}: (batch, tokens, inputs) "
            "is needed; where tokens come packed, take level='token'"
        )
    x_BLI = x.reshape(x.shape[0], -1, x.shape[-1])
    x_BLI = x_BLI.to(torch.promote_types(x.dtype, torch.float32))
    if real is None:
        return x_BLI.mean(1)
    real_BL1 = real.reshape(x.shape[0], -1, 1).to(x_BLI.dtype)
    return (x_BLI * real_BL1).sum(1) / real_BL1.sum(1).clamp_min(1)
