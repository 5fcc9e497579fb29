"""One MoE block in every form that a user could take: ours, those of transformers, LLaMA-MoE's, dense of equal size."""

import copy
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import LlamaConfig, MixtralConfig
from transformers.models.llama.modeling_llama import LlamaMLP
from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock

from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.experts import ExpertBank
from sparsebench.models.moe.experts.interface import NAME, register_experts
from sparsebench.models.moe.layer import MoEFFN
from sparsebench.models.moe.routing.router import LinearRouter


class Cell(NamedTuple):
    """Width, hidden neurons of one expert, experts, chosen experts."""

    width: int
    hidden: int
    experts: int
    top_k: int

    def __str__(self) -> str:
        return "/".join(map(str, self))

    def operations(self, tokens: int) -> int:
        """Of a forward pass, a multiplication and an addition being two."""
        return 2 * tokens * self.width * (3 * self.hidden * self.top_k + self.experts)

    def weights(self, experts: int) -> int:
        """Of so many experts and the router."""
        return self.width * (3 * self.hidden * experts + self.experts)


CELLS = (Cell(512, 172, 8, 2), Cell(1024, 352, 8, 2), Cell(2048, 352, 16, 4), Cell(2048, 704, 8, 2))


class Stock(nn.Module):
    """The block of Mixtral with one of the experts implementations, called with (tokens, width)."""

    def __init__(self, cell: Cell, implementation: str) -> None:
        super().__init__()
        register_experts()
        config = MixtralConfig(
            hidden_size=cell.width,
            intermediate_size=cell.hidden,
            num_local_experts=cell.experts,
            num_experts_per_tok=cell.top_k,
            experts_implementation=implementation,
        )
        self.block = MixtralSparseMoeBlock(config)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in self.block.parameters():
                parameter.normal_(0, 0.02, generator=generator)
            # Ties between logits would send a token elsewhere in bf16: make the routes clear.
            self.block.gate.weight.mul_(20)

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x.unsqueeze(0)).squeeze(0)


class LLaMAMoE(nn.Module):
    """The algorithm of LLaMA-MoE v1, written anew: sort, split, separate weights, concatenate, add to each token."""

    def __init__(self, stock: Stock) -> None:
        super().__init__()
        experts = stock.block.experts
        self.router = stock.block.gate
        gates, ups = zip(*(weight.chunk(2) for weight in experts.gate_up_proj.detach()), strict=True)
        self.gate, self.up = (nn.ParameterList(w.clone() for w in part) for part in (gates, ups))
        self.down = nn.ParameterList(weight.clone() for weight in experts.down_proj.detach())

    def forward(self, x: Tensor) -> Tensor:
        _, weight, index = self.router(x)
        order = index.flatten().argsort()
        token = order // index.shape[1]
        counts = torch.bincount(index.flatten(), minlength=len(self.down)).tolist()
        parts = [
            F.linear(F.silu(F.linear(rows, gate)) * F.linear(rows, up), down)
            for rows, gate, up, down in zip(x[token].split(counts), self.gate, self.up, self.down, strict=True)
        ]
        out = torch.cat(parts) * weight.flatten()[order].to(x.dtype).unsqueeze(-1)
        return torch.zeros_like(x).index_add(0, token, out)


def ours(stock: Stock) -> MoEFFN:
    """Our layer with the weights of the stock block."""
    experts, router = stock.block.experts, stock.block.gate.weight
    count, _, hidden = experts.down_proj.shape
    config = MoEConfig(num_experts=count, top_k=stock.block.top_k, scale=1.0)
    bank = ExpertBank(
        sizes=[hidden] * count,
        gate_up=experts.gate_up_proj.detach(),
        down=experts.down_proj.detach(),
        bias=None,
        gated=True,
        activation=nn.SiLU(),
    )
    return MoEFFN(
        config=config,
        router=LinearRouter(config, router.detach()),
        experts=bank,
        shared=None,
        down_bias=None,
        neurons=torch.arange(count * hidden),
        hidden=count * hidden,
        template=(nn.Identity(), None),
    )


def make(name: str, cell: Cell, dtype: torch.dtype) -> nn.Module:
    """A block by its name in `ROLES`; equal weights in all but the dense one, each with memory of its own."""
    return several(name, cell, dtype, 1)[0]


def several(name: str, cell: Cell, dtype: torch.dtype, count: int) -> list[nn.Module]:
    """So many copies of a block, with memory of their own."""
    block = _eager(name.removesuffix(COMPILED), cell, dtype)
    blocks = [block, *(copy.deepcopy(block) for _ in range(count - 1))]
    if not name.endswith(COMPILED):
        return blocks
    return [torch.compile(one, dynamic=False) for one in blocks]


def _eager(name: str, cell: Cell, dtype: torch.dtype) -> nn.Module:
    if name == "dense, active size":
        config = LlamaConfig(hidden_size=cell.width, intermediate_size=cell.hidden * cell.top_k)
        return LlamaMLP(config).to(dtype)
    of_layers = name in (NAME, "LLaMA-MoE loop")
    stock = Stock(cell, "eager" if of_layers else name.removeprefix("transformers ")).to(dtype)
    if name == NAME:
        return ours(stock)
    return LLaMAMoE(stock) if of_layers else stock


COMPILED = ", compiled"
ROLES = {
    NAME: "ours",
    NAME + COMPILED: "ours",
    f"transformers {NAME}": "ours",
    f"transformers {NAME}" + COMPILED: "ours",
    "transformers eager": "peer",
    "transformers eager" + COMPILED: "peer",
    "transformers grouped_mm": "peer",
    "transformers grouped_mm" + COMPILED: "peer",
    "transformers batched_mm": "peer",
    "transformers batched_mm" + COMPILED: "peer",
    "LLaMA-MoE loop": "peer",
    "dense, active size": "floor",
}
