"""Two processes that train a converted model together: `python -m tests.models.moe.two_processes`, for the tests.

Outputs, balance losses and gradients must be those of one process on both halves of the batch: by DDP with the balance
loss added, by FSDP2 (`fully_shard`) with it attached, for experts of LLaMA-MoE v1 and v2 and for attention experts, of
which most get no token in a process.
"""

import copy
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from transformers import LlamaConfig, LlamaForCausalLM

from sparsebench.models.moe import AttnMoEConfig, MoEConfig, aux_loss, convert, routing_probe, update_biases
from sparsebench.models.moe.hf_trainer.loss_hook import add_balance_loss
from sparsebench.models.moe.routing.global_sums import balance_together

from ...gloo import together

SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 32,
}
CONFIGS = {
    "v1": MoEConfig(num_experts=8, top_k=1, score="topk_softmax", z_coef=0.5, densemixer=True),
    "v2": MoEConfig(num_experts=8, top_k=1, num_shared=1, score="softmax_topk", router="mlp", balance="switch"),
    "attention": MoEConfig(
        num_experts=8, top_k=1, balance="bias", attn=AttnMoEConfig(num_experts=4, top_k=1, balance="cv2")
    ),
    "attention, all keys": MoEConfig(
        num_experts=8, top_k=1, attn=AttnMoEConfig(num_experts=4, top_k=1, mode="keep_kv", balance="switch")
    ),
}


def sharded(model: nn.Module) -> nn.Module:
    """Each block by itself, then the rest."""
    for layer in model.model.layers:  # pyright: ignore
        fully_shard(layer)
    return fully_shard(model)


WAYS: dict[str, Callable[[nn.Module], nn.Module]] = {"DDP": DistributedDataParallel, "FSDP2": sharded}


def step(model: Any, tokens: Tensor, attached: bool) -> Tensor:
    """Gradients of the mean loss with what balances, attached or added; the logits, and the latter in one more column:
    that of all tokens, which it is after the backward pass."""
    out = model(input_ids=tokens, labels=tokens)
    (out.loss if attached else out.loss + aux_loss(model)).backward()
    balance = aux_loss(model)
    update_biases(model)
    return torch.cat((out.logits.detach(), balance.detach().expand(*tokens.shape, 1)), dim=-1)


def gradients(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in model.named_parameters():
        grad = parameter.grad
        assert grad is not None, name
        yield name.removeprefix("module."), grad.full_tensor() if isinstance(grad, DTensor) else grad


def check(name: str, way: str, rank: int) -> None:
    torch.manual_seed(0)
    plain = convert(LlamaForCausalLM(LlamaConfig(**SIZES)), CONFIGS[name])
    for parameter in plain.parameters():
        nn.init.normal_(parameter, std=0.3)
    tokens = torch.randint(3, 32, (2, 3), generator=torch.Generator().manual_seed(1))
    mine = tokens[rank : rank + 1]
    with routing_probe(plain) as probe, torch.no_grad():
        plain(mine)
    assert all((layer.load == 0).any() for layer in probe.layers.values()), "no expert is idle"
    together = WAYS[way](copy.deepcopy(plain))
    balance_together(plain, "own")
    attached = way == "FSDP2"
    if attached:
        add_balance_loss(together)
    for _ in range(2):  # twice: gradients add up, and what was gathered is gathered again
        expected = step(plain, tokens, False)[rank : rank + 1]
        torch.testing.assert_close(step(together, mine, attached), expected, rtol=1e-5, atol=1e-5)
    wanted = dict(gradients(plain))
    for key, grad in gradients(together):
        torch.testing.assert_close(grad, wanted[key], rtol=1e-4, atol=1e-5, msg=lambda text, key=key: f"{key}: {text}")


def all_checks() -> None:
    dist.init_process_group("gloo")
    for case in CONFIGS:
        for kind in WAYS:
            try:
                check(case, kind, dist.get_rank())
            except Exception as error:
                raise RuntimeError(f"{case} by {kind}: {error}") from error


if __name__ == "__main__":
    torch.set_num_threads(1)
    codes = together(all_checks, 2)
    if codes != [0, 0]:
        sys.exit(f"the two processes ended with {codes}; None: not in time")
