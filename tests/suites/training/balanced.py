"""A mixture of experts that trains with the losses and the bias that balance it, in one process or several."""

import os
from typing import Any

import torch
from torch import Tensor, nn

from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.experts import ExpertBank
from sparsebench.models.moe.layer import MoEFFN
from sparsebench.models.moe.routing.router import LinearRouter
from sparsebench.models.moe.routing.statistics import aux_loss
from sparsebench.suites.methods.shared._balance_bias import BalanceBias
from sparsebench.suites.training.groups import Group
from sparsebench.suites.training.loop import train
from sparsebench.suites.training.settings import TrainSettings

WIDTH = 8
ROWS = 96
BALANCES: dict[str, dict[str, Any]] = {
    "cv2": {"balance": "cv2", "score": "softmax_topk", "balance_coef": 0.1},
    "switch, z, DenseMixer": {"balance": "switch", "z_coef": 0.1, "densemixer": True},
    "bias": {"balance": "bias", "score": "sigmoid", "bias_rate": 0.25},
}


def mixture(seed: int = 0, **fields: Any) -> MoEFFN:
    """Two of four experts of two neurons, in float64."""
    config = MoEConfig(num_experts=4, top_k=2, **fields)
    draws = torch.Generator().manual_seed(seed)
    gate, up, down = (0.3 * torch.randn(WIDTH, WIDTH, generator=draws, dtype=torch.float64) for _ in range(3))
    groups = torch.arange(WIDTH).chunk(4)
    return MoEFFN(
        config=config,
        router=LinearRouter(config, 0.3 * torch.randn(4, WIDTH, generator=draws, dtype=torch.float64)),
        experts=ExpertBank.of(groups, gate=gate, up=up, down=down, activation=nn.functional.silu),
        shared=None,
        down_bias=None,
        neurons=torch.arange(WIDTH),
        hidden=WIDTH,
        template=(),
    )


class Padded:
    """A stream of batches (x, which rows are real), with unequal numbers of real rows; `empty`: none in every second
    eight of them, which is a batch of one of two processes."""

    def __init__(self, size: int, empty: bool = False) -> None:
        self.size = size
        self.empty = empty

    def __iter__(self) -> Any:
        x = torch.randn(ROWS, WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        eight = torch.arange(ROWS) // 8
        real = torch.arange(ROWS) % 8 < eight % 7 + 1
        if self.empty:
            real &= eight % 2 == 0
        yield from zip(x.split(self.size), real.split(self.size), strict=True)


def loss(model: Any, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """Mean over the real rows, and what balances."""
    x, real = batch
    model.token_mask = real
    # Of no real row, 0 / 0: the loss is NaN, and so is its gradient at every row.
    task = (model(x).square().mean(1) * real).sum() / real.sum()
    return {"task": task, "balance": aux_loss(model)}


def balanced(name: str, size: int, accumulation: int = 1, empty: bool = False) -> dict[str, Any]:
    """Twenty steps, each process on its part of the same rows; losses and weights."""
    model = mixture(seed=int(os.environ.get("RANK", "0")), **BALANCES[name])  # all start as the main process does
    result = train(
        model,
        Padded(size, empty),
        loss,
        groups=[
            Group(name="model", parameters=list(model.parameters()), learning_rate=0.02, optimizer=torch.optim.SGD)
        ],
        settings=TrainSettings(steps=20, accumulation=accumulation),
        weight=lambda batch: float(batch[1].sum()),
        callbacks=[BalanceBias()],
    )
    state = {key: value.tolist() for key, value in model.state_dict().items()}
    # The curve of the balance loss is of the tokens of each process; of those of all is what the last step leaves.
    return {"state": state, "task": result.curves["train task"], "balance": aux_loss(model).item()}
