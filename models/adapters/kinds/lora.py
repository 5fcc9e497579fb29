"""LoRA: W x + s B A x, a low-rank update of linear layers and pointwise convolutions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...anatomy import MLP, Attention, Block, Experts, Site, Wrapper, has_linear_view, linear_view
from ...errors import ModelError, check_choice
from ...sparsity.masked import Masked, MaskedConv2d, MaskedLinear
from ..config import RankConfig
from ..initialisation import adapter_dtype, initialise
from ..layer import AdapterLayer
from .expert_lora import Update, chosen_names, expert_layer, expert_linears, stacks
from .low_rank import LowRankLinear, Span

TARGETS = ("q", "k", "v", "o", "gate", "up", "down", "experts", "linears")
FEW_ROWS = 64
"""Below this the fixed cost of a function of our own outweighs what it saves."""

# Shapes: N rows (all dimensions of x but the last), I inputs, O outputs (of a span), R rank.


@dataclass(frozen=True, kw_only=True)
class LoRAConfig(RankConfig):
    """y = W x + (alpha / r) B A x with A (r, in), B (out, r), no biases (Hu et al., arXiv 2106.09685).

    Routers stay as they are.

    Attributes:
        targets: sites of the anatomy: "q", "k", "v" and "o" of the attention (also where q, k and v are one fused
            matrix: each then has its own pair), "gate", "up" and "down" of the MLP, or "linears" for every linear layer
            of a block, which for a CNN are its pointwise convolutions. Of a mixture "linears" also means the experts
            and a shared FFN, "experts" all matrices of the routed experts, "gate", "up" and "down" those of the routed
            experts: fused ones with a pair of factors for each expert (`ExpertLoRALayer`, PEFT's `target_parameters`).
        alpha: numerator of the scale; None means r.
        dropout: on A's input, in training.
        experts: False excludes routed experts and a fused shared block.
    """

    targets: tuple[str, ...] = ("q", "v")
    alpha: float | None = None
    dropout: float = 0.0
    experts: bool = True

    former_defaults = MappingProxyType({"experts": False})

    def __post_init__(self) -> None:
        super().__post_init__()
        for target in self.targets:
            check_choice("targets", target, TARGETS)

    @property
    def scaling(self) -> float:
        """The factor of the update."""
        if self.alpha is None:
            return 1.0
        return self.alpha / self.r

    def place_in(self, block: Block, generator: torch.Generator) -> Iterator[tuple[Site, AdapterLayer]]:
        """LoRA layers around the targets that this block has.

        Raises:
            ModelError: attention experts in fused parameters are among the targets, or experts and dropout.
        """
        if block.attention is not None and block.attention.fused and {"q", "o", "linears"} & set(self.targets):
            raise ModelError(
                f"{block.attention.fused[0].path} holds the queries of all attention experts, in which LoRA has no "
                "place: choose targets without q, o and linears, as ('k', 'v', 'experts')"
            )
        for site, spans in _targets(block, self.targets):
            yield site, LoRALayer(site.get(), spans, self, generator, site.path)
        if self.experts and block.mlp is not None and block.mlp.experts is not None:
            yield from self._in_experts(block.mlp.experts, generator)

    def _in_experts(self, experts: Experts, generator: torch.Generator) -> Iterator[tuple[Site, AdapterLayer]]:
        for site in expert_linears(experts, self.targets):
            yield site, LoRALayer(site.get(), [_all_outputs(site)], self, generator, site.path)
        for stack in stacks(experts):
            names = chosen_names(stack, self.targets)
            if not names:
                continue
            if self.dropout:
                raise ModelError(
                    f"{stack.site.path}: dropout={self.dropout} cannot act on fused experts: set it to 0, or leave "
                    "them out with experts=False"
                )
            update = Update(self.r, self.scaling)
            yield expert_layer(stack, dict.fromkeys(names, update), self.init, generator)


class LoRALayer(AdapterLayer):
    """W x + s B A x, where W (out, in) is a linear layer or pointwise convolution and each span of its outputs [start,
    stop) has a pair of its own: `lora_A` (r, in) and `lora_B` (stop - start, r).
    """

    linear = True
    additive = True
    former_names = {"down": "lora_A", "up": "lora_B"}  # noqa: RUF012

    def __init__(
        self,
        base_layer: nn.Module,
        spans: Sequence[Span],
        config: LoRAConfig,
        generator: torch.Generator,
        path: str = "base_layer",
    ) -> None:
        super().__init__(base_layer)
        self.spans = tuple(spans)
        self.scaling = config.scaling
        self.dropout = nn.Dropout(config.dropout)
        self.lora_A = nn.ModuleList()
        self.lora_B = nn.ModuleList()
        for start, stop in self.spans:
            lora_A, lora_B = _pair(base_layer, stop - start, config.r, path)
            initialise(lora_A, lora_B, config.init, generator)
            self.lora_A.append(lora_A)
            self.lora_B.append(lora_B)
        self.is_conv = isinstance(base_layer, nn.Conv2d)

    def adapted(self, x: Tensor) -> Tensor:
        """W x + s B A x, the update in the dtype of the input; three ways to compute it, by what is fastest."""
        if self.is_conv:
            return self.base_layer(x) + self.lora_B[0](self.lora_A[0](self.dropout(x))) * self.scaling
        if self._fits_function(x):
            return self._by_function(x)
        return self._by_operators(x)

    def _by_operators(self, x: Tensor) -> Tensor:
        """The products one by one; the update is added within each product, and in place where nobody sees that."""
        y = self.base_layer(x)
        in_place = not torch.is_grad_enabled() and not _is_watched(self.base_layer)
        y_NO = y.view(-1, y.shape[-1])
        x_NI = self.dropout(x).to(y.dtype).reshape(-1, x.shape[-1])
        for (start, stop), a_RI, b_OR in self._factors():
            low_NR = F.linear(x_NI, a_RI.to(x_NI.dtype))
            b_RO = b_OR.to(x_NI.dtype).t()
            span_NO = y_NO[:, start:stop]
            if in_place:
                span_NO.addmm_(low_NR, b_RO, alpha=self.scaling)
                continue
            span_NO = torch.addmm(span_NO, low_NR, b_RO, alpha=self.scaling)
            if span_NO.shape == y_NO.shape:
                y_NO = span_NO
            else:
                y_NO = torch.slice_scatter(y_NO, span_NO, 1, start, stop)
        return y_NO.view(y.shape)

    def _by_function(self, x: Tensor) -> Tensor:
        """All of it as one function with a backward pass of its own."""
        base_layer: Any = self.base_layer
        dtype = _computed_in(x)
        bias = None if base_layer.bias is None else base_layer.bias.to(dtype)
        downs = _matrices(self.lora_A)
        ups = _matrices(self.lora_B)
        down = downs[0] if len(downs) == 1 else torch.cat(downs)
        weight = base_layer.weight.to(dtype)
        y, _ = LowRankLinear.apply(x.to(dtype), weight, bias, self.scaling, self.spans, down, *ups)
        return y

    def _fits_function(self, x: Tensor) -> bool:
        """Whether `LowRankLinear` does the same: it is faster from FEW_ROWS rows on, and only for training."""
        base = self.base_layer
        if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
            return False  # before the number of rows is looked at, which would be fixed in a graph
        return (
            type(base) is nn.Linear
            and x.numel() >= FEW_ROWS * base.in_features
            and torch.is_grad_enabled()
            and not (self.dropout.training and self.dropout.p)
            and not (base._forward_hooks or base._forward_pre_hooks or base._backward_hooks or base._backward_pre_hooks)
        )

    def _factors(self) -> Iterator[tuple[Span, Tensor, Tensor]]:
        """Span, A and B of each pair."""
        return zip(self.spans, _matrices(self.lora_A), _matrices(self.lora_B), strict=True)

    @torch.no_grad()
    def merge_into(self, base_layer: nn.Module) -> None:
        """W <- W + s B A, in the precision of the adapter."""
        if self.is_conv:
            assert isinstance(base_layer.weight, Tensor)
            weight_OI = base_layer.weight.flatten(1)
        else:
            weight_OI = linear_view(base_layer, self.place).weight
        dtype = adapter_dtype(weight_OI)
        for (start, stop), a, b in self._factors():
            update_OI = b.flatten(1).to(dtype) @ a.flatten(1).to(dtype)
            merged_OI = weight_OI[start:stop].to(dtype) + self.scaling * update_OI
            weight_OI[start:stop] = merged_OI.to(weight_OI.dtype)


def _is_watched(module: nn.Module) -> bool:
    """Whether a hook may hold the output of a layer, or of one below its wrappers, which has to stay what it is."""
    while not module._forward_hooks:
        if not isinstance(module, Wrapper):
            return bool(torch.nn.modules.module._global_forward_hooks)
        module = module.base_layer
    return True


def _matrices(layers: Any) -> list[Tensor]:
    return [layer.effective() for layer in layers]


def _computed_in(x: Tensor) -> torch.dtype:
    """The dtype of a matrix product with x: under autocast not its own."""
    device = x.device.type
    if torch.is_autocast_enabled(device) and x.dtype != torch.float64:
        return torch.get_autocast_dtype(device)
    return x.dtype


def _pair(base_layer: Any, out: int, r: int, path: str) -> tuple[Masked, Masked]:
    """A and B for `out` outputs of a layer, not filled yet."""
    is_conv = isinstance(base_layer, nn.Conv2d)
    if is_conv and (base_layer.kernel_size != (1, 1) or base_layer.groups != 1):
        raise ModelError(f"{path}: LoRA works on pointwise (1x1, ungrouped) convolutions, not on {base_layer}")
    if not is_conv and not has_linear_view(base_layer):
        raise ModelError(
            f"{path} is a {type(base_layer).__name__}: LoRA needs a plain nn.Linear or a pointwise convolution"
        )
    inputs = base_layer.in_channels if is_conv else linear_view(base_layer).weight.shape[1]
    if r > min(inputs, out):
        raise ModelError(f"r={r} exceeds {min(inputs, out)}, the full rank of {path}: choose a smaller r")
    like = {"device": base_layer.weight.device, "dtype": adapter_dtype(base_layer.weight)}
    if is_conv:
        reach = {"stride": base_layer.stride, "padding": base_layer.padding}
        return MaskedConv2d(inputs, r, 1, bias=False, **reach, **like), MaskedConv2d(r, out, 1, bias=False, **like)
    return MaskedLinear(inputs, r, bias=False, **like), MaskedLinear(r, out, bias=False, **like)


def _targets(block: Block, names: Sequence[str]) -> list[tuple[Site, list[Span]]]:
    """Each target site of a block with the spans of its outputs that get an update."""
    if "linears" in names:
        return [(site, [_all_outputs(site)]) for site in block.linears]
    found: list[tuple[Site, list[Span]]] = []
    for part in (block.attention, block.mlp):
        for name in names:
            site = getattr(part, name, None)
            if isinstance(site, Site):
                found.append((site, [_all_outputs(site)]))
    found.extend(_fused(block, names))
    return found


def _fused(block: Block, names: Sequence[str]) -> Iterator[tuple[Site, list[Span]]]:
    """Matrices that hold several targets, with the spans of those that are wanted."""
    attention = block.attention
    if attention is not None and {"q", "k", "v"} & set(names):
        _check_spans(attention)
        if attention.qkv is not None:
            yield attention.qkv, _qkv_spans(attention, names)
    mlp = block.mlp
    if mlp is not None and mlp.gate_up is not None and {"gate", "up"} & set(names):
        yield mlp.gate_up, _gate_up_spans(mlp, names)


def _check_spans(attention: Attention) -> None:
    path = attention.site.path
    if attention.interleaved:
        raise ModelError(
            f"{path} holds q, k and v head by head in one matrix, so that none of them is a span of it: use "
            "targets=('linears',), which adapts the whole matrix"
        )
    if attention.latent:
        raise ModelError(
            f"{path} makes q, k and v by low-rank products: use targets=('linears',), which adapts them all"
        )


def outputs_of(module: nn.Module) -> int:
    """Number of outputs of a linear layer, be its weight (out, in) or (in, out), or of a convolution."""
    if has_linear_view(module):
        return len(linear_view(module).weight)
    assert isinstance(module.weight, Tensor)
    return len(module.weight)


def _all_outputs(site: Site) -> Span:
    return 0, outputs_of(site.get())


def _gate_up_spans(mlp: MLP, names: Sequence[str]) -> list[Span]:
    """Rows of the gate come first."""
    halves = {"gate": (0, mlp.hidden), "up": (mlp.hidden, 2 * mlp.hidden)}
    return [span for name, span in halves.items() if name in names]


def _qkv_spans(attention: Attention, names: Sequence[str]) -> list[Span]:
    """Where the wanted ones of q, k and v lie among the outputs of one matrix that has them in this order."""
    heads = {"q": attention.num_heads, "k": attention.num_kv_heads, "v": attention.num_kv_heads}
    spans: list[Span] = []
    start = 0
    for name, count in heads.items():
        stop = start + count * attention.head_dim
        if name in names:
            spans.append((start, stop))
        start = stop
    return spans
