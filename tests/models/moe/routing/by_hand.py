"""Mixtures of every kind, two rows in one padded batch, and what routers choose of real tokens, counted one by one."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sparsebench.models.moe import AttnMoEConfig, MoEConfig, convert

STOCK = ("mixtral", "olmoe", "qwen2_moe", "qwen3_moe")
LENGTHS = (9, 5)


def made(build: Callable[[str], Any], name: str) -> tuple[Any, list[str]]:
    """In float64, a stock mixture, converted FFNs ("ffn") or "attention" experts too; and where its routers lie."""
    if name in STOCK:
        model = build(name).double()
        model.set_experts_implementation("eager")  # the others are for single precision
        return model, [f"model.layers.{place}.mlp.gate" for place in range(2)]
    attn = AttnMoEConfig(num_experts=4, top_k=3) if name == "attention" else None
    model = convert(build("llama").double(), MoEConfig(num_experts=8, top_k=2, num_shared=1, attn=attn))
    parts = ("self_attn", "mlp") if attn else ("mlp",)
    return model, [f"model.layers.{place}.{part}.router" for place in range(2) for part in parts]


def rows() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(3, 64, (1, length), generator=generator) for length in LENGTHS]


def padded(side: str, filler: int) -> dict[str, Tensor]:
    """Both rows in one batch, with `filler` where there is no token."""
    ids = torch.full((len(LENGTHS), max(LENGTHS)), filler)
    mask = torch.zeros_like(ids)
    for place, row in enumerate(rows()):
        columns = slice(0, row.shape[1]) if side == "right" else slice(ids.shape[1] - row.shape[1], None)
        ids[place, columns] = row
        mask[place, columns] = 1
    return {"input_ids": ids, "attention_mask": mask, "position_ids": (mask.cumsum(1) - 1).clamp(min=0)}


class Counted(NamedTuple):
    """Tokens of each expert, the sums of their weights, and the mean entropy of a token's logits."""

    picks: list[int]
    weights: list[float]
    token_entropy: float


@torch.no_grad()
def counted(model: Any, routers: list[str], batches: Sequence[dict[str, Tensor]]) -> dict[str, Counted]:
    """Of each mixture, from the inputs of its router and the router's matrix alone."""
    inputs: dict[str, list[Tensor]] = {path: [] for path in routers}
    hooks = []
    for path, seen in inputs.items():
        hook = model.get_submodule(path).register_forward_pre_hook(lambda _, args, seen=seen: seen.append(args[0]))
        hooks.append(hook)
    for batch in batches:
        model(**batch)
    for hook in hooks:
        hook.remove()
    real = torch.cat([batch["attention_mask"].flatten() for batch in batches]).bool()
    renormed = "Mixtral" in type(model).__name__ or getattr(model.config, "norm_topk_prob", True)
    found = {}
    for path, seen in inputs.items():
        x_TD = torch.cat([x.reshape(-1, x.shape[-1]) for x in seen])[real]
        top_k = 3 if "self_attn" in path else 2
        found[path.rpartition(".")[0]] = one_by_one(model.get_submodule(path).weight, x_TD, top_k, renormed)
    return found


def one_by_one(matrix: Tensor, x_TD: Tensor, top_k: int, renormed: bool) -> Counted:
    picks = [0] * len(matrix)
    weights = [0.0] * len(matrix)
    entropies = []
    for x_D in x_TD:
        logits = [float(row @ x_D) for row in matrix]
        total = sum(math.exp(logit) for logit in logits)
        chance = [math.exp(logit) / total for logit in logits]
        best = sorted(range(len(logits)), key=lambda e: -logits[e])[:top_k]
        for expert in best:
            picks[expert] += 1
            weights[expert] += chance[expert] / (sum(chance[e] for e in best) if renormed else 1.0)
        entropies.append(-sum(p * math.log(p) for p in chance))
    return Counted(picks, weights, sum(entropies) / len(entropies))
