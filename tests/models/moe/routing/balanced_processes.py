"""Two gloo processes that balance one mixture together, for the tests.

    python -m tests.models.moe.routing.balanced_processes FOLDER

Each has a part of the tokens. Losses, gradients and biases must be those of one process with all of them. Processes are
forked, so that torch is imported once; what each finds goes to FOLDER/rank-R.pt.
"""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sparsebench.models.loss_scale import set_loss_scale
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.experts import ExpertBank
from sparsebench.models.moe.hf_trainer.loss_hook import add_balance_loss
from sparsebench.models.moe.layer import MoEFFN
from sparsebench.models.moe.routing.balance import balance_loss
from sparsebench.models.moe.routing.choice_bias import update_biases
from sparsebench.models.moe.routing.choices import Routing
from sparsebench.models.moe.routing.router import LinearRouter
from sparsebench.models.moe.routing.statistics import aux_loss

from ....gloo import together

EXPERTS = 8
WIDTH = 6
TOKENS = 40
STEPS = 20
LOSSES: dict[str, dict[str, Any]] = {
    "cv2": {"balance": "cv2"},
    "cv2 with noise": {"balance": "cv2", "noise": "shazeer"},
    "cv2, faithful": {"balance": "cv2", "noise": "shazeer", "faithful": True},
    "switch": {"balance": "switch"},
    "switch, sigmoid": {"balance": "switch", "score": "sigmoid"},
    "switch, faithful": {"balance": "switch", "faithful": True},
    "z": {"z_coef": 0.3},
    "cv2 and z": {"balance": "cv2", "z_coef": 0.3},
}
PARTS = {"halves": (20, 20), "unequal": (31, 9), "nothing in one": (40, 0)}
MIXTURES: dict[str, dict[str, Any]] = {
    "cv2": {"balance": "cv2", "score": "softmax_topk"},
    "switch and z": {"balance": "switch", "z_coef": 0.1},
    "bias": {"balance": "bias", "bias_rate": 0.01, "score": "sigmoid"},
    "densemixer": {"balance": "switch", "densemixer": True},
}


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def config(**fields: Any) -> MoEConfig:
    return MoEConfig(**({"num_experts": EXPERTS, "top_k": 2, "balance_coef": 0.5} | fields))


def loss_of_part(fields: dict[str, Any], rows: slice, share: float) -> tuple[float, Tensor]:
    """The loss that a process with these of the tokens sees, and the gradient of their logits; it weighs `share`."""
    logits_TN = draw(TOKENS, EXPERTS, seed=1)[rows].requires_grad_()
    noisy_TN = None
    std_TN = None
    if "noise" in fields:
        std_TN = torch.full_like(logits_TN, 0.7)
        noisy_TN = logits_TN + 0.7 * draw(TOKENS, EXPERTS, seed=2)[rows]
    best_TK, index_TK = (logits_TN if noisy_TN is None else noisy_TN).topk(2, dim=-1)
    routing = Routing(index_TK, best_TK.softmax(-1), logits_TN, noisy_TN, std_TN)
    loss = balance_loss(config(**fields), routing)
    (loss * share).backward()
    assert logits_TN.grad is not None
    return float(loss.detach()), logits_TN.grad


def mixture_of(config: MoEConfig, seed: int, size: float) -> MoEFFN:
    """Experts that share 16 neurons, and a router that prefers some of them; weights of this size."""
    hidden = 16
    gate_FD, up_FD = (size * draw(hidden, WIDTH, seed=seed + number) for number in (1, 2))
    experts = ExpertBank.of(
        torch.arange(hidden).chunk(config.num_routed),
        gate=gate_FD,
        up=up_FD,
        down=size * draw(WIDTH, hidden, seed=seed + 3),
        activation=F.silu,
    )
    return MoEFFN(
        config=config,
        router=LinearRouter(config, size * draw(config.num_routed, WIDTH, seed=seed + 4)),
        experts=experts,
        shared=None,
        down_bias=None,
        neurons=torch.arange(hidden),
        hidden=hidden,
        template=(),
    )


class Net(nn.Module):
    """Two mixtures, one behind the other."""

    def __init__(self, config: MoEConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(mixture_of(config, seed, 0.3) for seed in (10, 20))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = x + layer(x)
        return x


def trained(fields: dict[str, Any], rank: int | None) -> dict[str, Any]:
    """Losses and weights of some steps: by DDP on 3 tokens a process, so that most experts are idle, or on all 6."""
    net = Net(config(**fields)).train()
    model: nn.Module = net if rank is None else DistributedDataParallel(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.02)
    losses = []
    for step in range(STEPS):
        x_TD = draw(6, WIDTH, seed=100 + step)
        if rank is not None:
            x_TD = x_TD[3 * rank : 3 * rank + 3]
        task = model(x_TD).square().mean()
        optimizer.zero_grad()
        (task + aux_loss(net)).backward()
        balance = aux_loss(net)
        optimizer.step()
        update_biases(net)
        losses.append((float(task.detach()), float(balance.detach())))
    return {"losses": torch.tensor(losses, dtype=torch.float64), "state": net.state_dict()}


def looked_at_alone(rank: int) -> float:
    """The first process looks at its losses, in training mode, and the second does not: nobody waits."""
    net = Net(config(balance="cv2")).train()
    net(draw(3, WIDTH, seed=1))
    add_balance_loss(net)
    if rank == 0:
        with torch.no_grad():
            net(draw(3, WIDTH, seed=1))
        net(draw(3, WIDTH, seed=1))
    return float(aux_loss(net))


def attached_gradients(rank: int | None) -> dict[str, Tensor]:
    """By DDP, of a loss that knows nothing of the balance, in two micro-batches of unequal sizes in each process."""
    net = Net(config(balance="switch", z_coef=0.1)).train()
    add_balance_loss(net)
    model: nn.Module = net if rank is None else DistributedDataParallel(net, find_unused_parameters=True)
    set_loss_scale(0.5)
    for micro in range(2):
        x_TD = draw(8, WIDTH, seed=200 + micro)
        if rank is not None:
            x_TD = x_TD[:3] if rank == 0 else x_TD[3:]
        of = 8 if rank is None else 4  # a mean over the rows of both, which DDP halves
        with model.no_sync() if rank is not None and micro == 0 else nullcontext():
            (0.5 * model(x_TD).square().mean(-1).sum() / of).backward()
    set_loss_scale(1.0)
    return {name: parameter.grad for name, parameter in net.named_parameters() if parameter.grad is not None}


def two_models(rank: int | None) -> list[Tensor]:
    """Router gradients: first both processes go backward through a model A and a model B; then, each by itself, the
    first through A and the second through B."""
    found = []
    models = [MIXTURES["cv2"], MIXTURES["switch and z"]]
    for number, fields in enumerate(models):
        net = Net(config(**fields)).train()
        add_balance_loss(net)
        x_TD = draw(6, WIDTH, seed=300 + number)
        if rank is not None:
            x_TD = x_TD[3 * rank : 3 * rank + 3]
        net(x_TD).mul(0).sum().backward()
        found.append(net.layers[0].router.weight.grad)
    for number, fields in enumerate(models):
        if rank in (None, number):
            net = Net(config(**fields)).train()
            add_balance_loss(net, group="own")
            net(draw(6, WIDTH, seed=300 + number)).mul(0).sum().backward()
            found.append(net.layers[0].router.weight.grad)
    return found


def found(rank: int) -> dict[str, Any]:
    results: dict[str, Any] = {}
    for name, fields in LOSSES.items():
        for cut, (first, second) in PARTS.items():
            rows = slice(0, first) if rank == 0 else slice(first, None)
            share = (first, second)[rank] / TOKENS
            results[f"{name}, {cut}"] = loss_of_part(fields, rows, share)
    for name, fields in MIXTURES.items():
        results[f"trained {name}"] = trained(fields, rank)
    results["alone"] = looked_at_alone(rank)
    results["attached"] = attached_gradients(rank)
    results["two models"] = two_models(rank)
    return results


def main(folder: Path) -> None:
    torch.set_num_threads(1)

    def work() -> None:
        dist.init_process_group("gloo")
        torch.save(found(dist.get_rank()), folder / f"rank-{dist.get_rank()}.pt")

    codes = together(work, 2)
    if codes != [0, 0]:
        sys.exit(f"the two processes ended with {codes}; None: not in time")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
