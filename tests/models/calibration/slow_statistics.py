"""Statistics of mixtures token by token and expert by expert, from the weights, in float64."""

from collections import defaultdict
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparsebench.models.anatomy import MLP, Experts, describe


def output(experts: Experts, expert: int, x_D: Tensor) -> Tensor:
    """What one expert gives for one token, (D,)."""
    weights = experts.weights(expert)
    return F.linear(experts.hidden(expert, x_D[None]), weights.down, weights.down_bias)[0]


def seen(model: nn.Module, mlp: MLP, batches: list[Any]) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """x (D,), logits (N,), indices (K,) and weights (K,) of each real token of one mixture."""
    experts = mlp.experts
    assert experts is not None and experts.module is not None
    calls: list[Any] = []
    logits: list[Tensor] = []
    hooks = [
        experts.module.get().register_forward_pre_hook(
            lambda module, args, kwargs: calls.append((*args, *kwargs.values())), with_kwargs=True
        ),
        experts.router.get().register_forward_hook(
            lambda module, args, out: logits.append(out.logits if hasattr(out, "logits") else out[0])
        ),
    ]
    for batch in batches:
        model(**batch)
    for hook in hooks:
        hook.remove()
    tokens = []
    for batch, (x, index, weight), given in zip(batches, calls, logits, strict=True):
        for place in batch["attention_mask"].flatten().nonzero().flatten().tolist():
            tokens.append((x.flatten(0, -2)[place], given[place], index[place], weight[place]))
    return tokens


@torch.no_grad()
def slow_statistics(model: nn.Module, batches: list[Any]) -> list[dict[str, Tensor]]:
    """The sums of each mixture, by name."""
    found = []
    for block in describe(model).blocks:
        if block.mlp is not None and block.mlp.experts is not None:
            found.append(_of_layer(model, block.mlp, block.mlp.experts, batches))
    return found


def _of_layer(model: nn.Module, mlp: MLP, experts: Experts, batches: list[Any]) -> dict[str, Tensor]:
    number = experts.num_experts
    rows: dict[str, list[Any]] = defaultdict(lambda: [0.0] * number)
    products = torch.zeros(number, number, dtype=torch.float64)
    counts = [0] * number
    for x, logits, index, weight in seen(model, mlp, batches):
        probability = logits.double().softmax(-1)
        products += torch.outer(logits.double(), logits.double())
        for expert in range(number):
            rows["probability"][expert] += probability[expert]
            rows["all_output"][expert] += output(experts, expert, x)
        for expert, factor in zip(index.tolist(), weight, strict=True):
            y = output(experts, expert, x)
            counts[expert] += 1
            rows["weight"][expert] += factor
            rows["norm"][expert] += y.norm()
            rows["gated_norm"][expert] += probability[expert] * y.norm()
            rows["weighted_norm"][expert] += factor * y.norm()
            rows["renormalised_norm"][expert] += factor / weight.sum() * y.norm()
            rows["output"][expert] += y
            rows["output_square"][expert] += y * y
            rows["input_square"][expert] += x * x
            hidden = experts.hidden(expert, x[None])[0]
            rows["hidden_square"][expert] += F.pad(hidden, (0, mlp.hidden - len(hidden))).square()
    sums = {name: _stacked(values) for name, values in rows.items()}
    return sums | {"counts": torch.tensor(counts), "logit_products": products}


def _stacked(values: list[Any]) -> Tensor:
    shape = max((tuple(value.shape) for value in values if isinstance(value, Tensor)), key=len)
    return torch.stack([torch.as_tensor(value, dtype=torch.float64).expand(shape) for value in values])
