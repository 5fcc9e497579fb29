"""What all dynamic layers have in common: a bank of kernels, and the weights that a sample uses."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import ModelError
from .compact_weights import CompactWeights
from .partially_dynamic import PartiallyDynamic

# Shapes: B samples (or tokens), K kernels (or experts), S the weight of one kernel, `weight_shape`, O its first
# dimension, the outputs.


class DynamicLayer(PartiallyDynamic):
    """A layer whose weight is made for each input from a bank of K kernels (or experts).

    `bank` (parameter, (K, *S)); `bias` (parameter, (K, O), or None): one for each kernel, mixed like them and never
    partitioned. A subclass says in its forward pass what the fractions of the kernels are.

    Without a partition the weight of a sample is π @ bank; with one it is λ_d M ⊙ (π @ bank) + λ_s (1 - M) ⊙ static.
    After `take_compact_form` the layer has `compact` in the place of its bank and its partition, and computes the same.
    """

    bank: nn.Parameter
    bias: nn.Parameter | None
    compact: CompactWeights | None
    mixes_kernels = True
    """Whether what is dynamic is a sum of kernels by fractions; only then is there a compact form."""

    def __init__(self, bank: Tensor, bias: Tensor | None = None) -> None:
        super().__init__()
        if bank.dim() < 3:
            raise ModelError(f"a bank is (kernels, outputs, inputs, ...), not {tuple(bank.shape)}")
        if bias is not None and bias.shape != bank.shape[:2]:
            raise ModelError(f"bias {tuple(bias.shape)} for a bank of {tuple(bank.shape)}: (kernels, outputs)")
        self.bank = nn.Parameter(bank.detach().clone())
        self.register_module("compact", None)
        self.register_parameter("bias", None)
        if bias is not None:
            self.bias = nn.Parameter(bias.detach().clone())

    @property
    def num_kernels(self) -> int:
        """K."""
        if self.compact is not None:
            return self.compact.kernels
        return self.bank.shape[0]

    @property
    def weight_shape(self) -> torch.Size:
        """Shape S of one kernel."""
        if self.compact is not None:
            return self.compact.shape
        return self.bank.shape[1:]

    @property
    def weight_dtype(self) -> torch.dtype:
        """That of the kernels."""
        if self.compact is not None:
            return self.compact.dynamic.dtype
        return self.bank.dtype

    def take_compact_form(self) -> None:
        """Store only what the partition uses: (1 - κ) |S| static numbers, K κ |S| dynamic ones, λ folded into both.

        The partition is fixed from then on; the layer computes what it did, and can be trained further. Make the
        optimizer afterwards. Raises `ModelError`, and changes nothing, where there is no such form.
        """
        if self.compact is not None:
            raise ModelError(f"this {type(self).__name__} has its compact form already")
        if not self.mixes_kernels:
            raise ModelError(f"a {type(self).__name__} is no mixture of kernels: it has no compact form")
        self.put_compact(CompactWeights.of(self.bank, self.partition))

    def put_compact(self, weights: CompactWeights) -> None:
        """Compute with these weights instead of bank and partition, which go."""
        weights.requires_grad_(self.bank.requires_grad)
        if weights.static is not None and self.partition is not None and self.partition.static.requires_grad:
            weights.static.requires_grad_()  # of a layer that is static as a whole the bank is frozen
        self.compact = weights
        self.register_parameter("bank", None)
        self.partition = None
        self.freeze_unused()

    def unused_parameters(self) -> list[nn.Parameter]:
        """What no output depends on: of a compact form the parts without an entry, which would get no gradient."""
        if self.compact is None:
            return super().unused_parameters()
        return [parameter for parameter in self.compact.parameters() if parameter.numel() == 0]

    def static_start(self) -> Tensor:
        """(*S) the mean of the kernels: their common weight where all were copied from one."""
        return self.bank.detach().mean(0)

    def dynamic_part(self) -> Tensor:
        """(K, *S) λ_d M ⊙ bank: the dynamic part of every kernel."""
        if self.partition is None:
            return self.bank
        return self.bank * self.partition.dynamic_factor()

    def static_part(self) -> Tensor | None:
        """(*S) λ_s (1 - M) ⊙ static, which every sample uses; None without a partition, or where it is pruned."""
        if self.partition is None or self.partition.scale == "pruned":
            return None
        return self.partition.static_part()

    def mixing_coefficients(self, x: Tensor) -> Tensor:
        """(B, K) the fractions of the kernels for samples (or tokens) as the forward pass takes them."""
        raise NotImplementedError

    def sample_weights(self, fractions_BK: Tensor) -> Tensor:
        """(B, *S) the weight of every sample, from its fractions π of the kernels; one matrix product."""
        if self.compact is not None:
            return self.compact.sample_weights(fractions_BK)
        dynamic_BN = fractions_BK @ self.bank.flatten(1)
        return self.used_weight(dynamic_BN.unflatten(1, self.weight_shape))

    def sample_biases(self, fractions_BK: Tensor) -> Tensor | None:
        """(B, O) the bias of every sample."""
        if self.bias is None:
            return None
        return fractions_BK @ self.bias

    def dynamic_alone(self) -> list[nn.Parameter]:
        """What the dynamic part of the weight alone depends on: the bank, and the fractions where no bias is mixed."""
        if self.bias is not None:
            return [self.bank]
        return [self.bank, *self.share_parameters()]

    def share_parameters(self) -> list[nn.Parameter]:
        """What the fractions of the kernels are made with."""
        return []

    def dynamic_parameters(self) -> int:
        """Numbers of the kernels that are used: K κ |S|."""
        if self.compact is not None:
            return self.compact.dynamic.numel()
        if self.partition is None:
            return self.bank.numel()
        return self.num_kernels * int(self.partition.mask.sum())

    def static_parameters(self) -> int:
        """Numbers of the static weight that are used: (1 - κ) |S|, 0 without a partition or where it is pruned."""
        if self.compact is not None:
            return self.compact.stored_numbers() - self.compact.dynamic.numel()
        if self.partition is None or self.partition.scale == "pruned":
            return 0
        return int((~self.partition.mask).sum())
