"""Our own autograd functions, forward and backward formula, and the ten lines of the README: cases without a suite."""

from __future__ import annotations

import contextlib
import copy
import re
import tempfile
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sparsebench.models.adapters.kinds.low_rank import LowRankLinear
from sparsebench.models.attention.attention_product import ProductAttention
from sparsebench.models.moe import aux_loss
from sparsebench.models.moe.experts.bank import ExpertBank
from sparsebench.models.moe.experts.grouped_product import grouped_product
from sparsebench.models.moe.experts.interface import register_experts
from sparsebench.models.moe.experts.operators import Operators
from sparsebench.models.moe.experts.training import TrainedExperts
from sparsebench.models.moe.hf_trainer.stock_balance import StockBalance
from sparsebench.models.moe.routing.attached_loss import attached
from sparsebench.models.moe.routing.densemixer import mix_densely
from sparsebench.models.moe.routing.global_sums import _OfAll

from .places import ROOT
from .simulated import value

Case = Callable[[str, torch.dtype], dict[str, Tensor]]
"""From a device and a type to outputs and gradients by name."""


class Drawn:
    """Random tensors, the same on every device."""

    def __init__(self, device: str, dtype: torch.dtype) -> None:
        self._generator = torch.Generator().manual_seed(0)
        self._place: dict[str, Any] = {"device": device, "dtype": dtype}
        self.leaves: list[Tensor] = []

    def __call__(self, *shape: int) -> Tensor:
        """A leaf that gets a gradient."""
        leaf = (torch.randn(*shape, generator=self._generator) / shape[-1] ** 0.5).to(**self._place).requires_grad_()
        self.leaves.append(leaf)
        return leaf

    def index(self, tokens: int, experts: int, top_k: int) -> Tensor:
        """Different experts for each token (T, K)."""
        score_TN = torch.rand(tokens, experts, generator=self._generator)
        return score_TN.topk(top_k).indices.to(self._place["device"])

    def results(self, *outputs: Tensor) -> dict[str, Tensor]:
        """Outputs, and the gradients of their sum of squares."""
        loss = torch.stack([output.float().square().sum() for output in outputs]).sum()
        loss.backward()
        found = {f"output {number}": value(output) for number, output in enumerate(outputs)}
        for number, leaf in enumerate(self.leaves):
            if leaf.grad is not None:
                found[f"gradient {number}"] = value(leaf.grad)
        return found


def attention(device: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """`ProductAttention`."""
    drawn = Drawn(device, dtype)
    bias = torch.zeros(5, 7, device=device, dtype=dtype)
    return drawn.results(
        ProductAttention.apply(drawn(2, 3, 5, 8), drawn(2, 3, 7, 8), drawn(2, 3, 7, 8), bias, 0.3, 0.0)[0]
    )


def low_rank(device: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """`LowRankLinear`."""
    drawn = Drawn(device, dtype)
    x, weight, bias = drawn(6, 8), drawn(12, 8), drawn(12)
    return drawn.results(
        LowRankLinear.apply(x, weight, bias, 0.5, ((0, 4), (8, 12)), drawn(4, 8), drawn(4, 2), drawn(4, 2))[0]
    )


def attached_loss(device: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """`_Attached`."""
    drawn = Drawn(device, dtype)
    return drawn.results(attached(drawn(4, 8), drawn(8).square().sum()))  # pyright: ignore[reportCallIssue]


def sums_of_processes(device: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """`_OfAll`, of one process."""
    drawn = Drawn(device, dtype)
    alone = SimpleNamespace(sum=lambda *parts: parts)
    return drawn.results(_OfAll.apply(lambda left, right: (left * right).sum(), alone, drawn(8), drawn(8)))


def dense_mixing(device: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """`_NotChosen`."""
    drawn = Drawn(device, dtype)
    bank = ExpertBank(
        sizes=[8] * 4,
        gate_up=drawn(4, 16, 8).detach(),
        down=drawn(4, 8, 8).detach(),
        bias=None,
        gated=True,
        activation=F.silu,
    )
    index_TK = drawn.index(6, 4, 2)
    return drawn.results(mix_densely(bank, drawn(6, 8), index_TK, drawn(6, 2), drawn(6, 4)))


def trained_experts(device: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """`TrainedExperts` with the operators of torch."""
    drawn = Drawn(device, dtype)
    index_TK = drawn.index(6, 4, 2)
    tensors = (drawn(6, 8), index_TK, drawn(6, 2), drawn(4, 16, 8), drawn(4, 8, 8))
    return drawn.results(TrainedExperts.apply(*tensors, Operators(), False, dtype))


def products_of_groups(device: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """`grouped_product` and its gradient, `grouped_outer`."""
    drawn = Drawn(device, dtype)
    ends = torch.tensor([2, 2, 7], dtype=torch.int32, device=device)
    return drawn.results(grouped_product(drawn(7, 8), drawn(3, 8, 5), ends))


def stock_balance(device: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """`_Term`, attached to a Mixtral."""
    from transformers import MixtralConfig, MixtralForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = MixtralConfig(**sizes, num_key_value_heads=4, vocab_size=50, num_local_experts=4)
    model = MixtralForCausalLM(config).to(dtype).to(device)
    model.set_experts_implementation(register_experts())
    StockBalance(model, 0.1)
    return _of_model(model.train(), 50)


def ten_lines(device: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """The model that the README's ten lines make, run and trained: a step in training mode, logits in evaluation."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = re.search(r"## Ten lines\n+```python\n(.*?)```", text, re.DOTALL)
    assert lines is not None, "the README has its ten lines"
    torch.manual_seed(0)
    names: dict[str, Any] = {"print": lambda *_: None}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # it writes a checkpoint
        exec(lines[1], names)
    return _of_model(copy.deepcopy(names["model"]).to(dtype).to(device).train(), 100)


def _of_model(model: Any, vocabulary: int) -> dict[str, Tensor]:
    ids = torch.arange(16).view(2, 8).mul(7).remainder(vocabulary).to(model.device)
    loss = model(ids, labels=ids).loss + aux_loss(model)
    loss.backward()
    found = {"loss": value(loss)}
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            found[name] = value(parameter.grad)
    model.eval()
    with torch.no_grad():
        found["logits"] = value(model(ids).logits)
    return found


CASES: Mapping[str, Case] = {
    "the README's ten lines": ten_lines,
    "ProductAttention": attention,
    "LowRankLinear": low_rank,
    "TrainedExperts": trained_experts,
    "grouped_product": products_of_groups,
    "balance loss attached to outputs": attached_loss,
    "balance loss of stock mixtures": stock_balance,
    "balance loss over processes": sums_of_processes,
    "DenseMixer": dense_mixing,
}


def largest_error(there: Mapping[str, Tensor], here: Mapping[str, Tensor]) -> float:
    """The largest relative difference, by the norm of each tensor; infinite where a name is missing."""
    if there.keys() != here.keys():
        return float("inf")
    errors = []
    for name, expected in here.items():
        norm = expected.double().norm().clamp_min(torch.finfo(torch.float32).tiny)
        errors.append(((there[name].cpu().double() - expected.double()).norm() / norm).item())
    return max(errors)
