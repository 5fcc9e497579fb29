"""Blocks, whole models and balance losses of LLaMA-MoE v2 against what its official code computed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from sparsebench.models.moe import aux_loss, convert, preset
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.conversion.dense_ffn import DenseFFN
from sparsebench.models.moe.layer import MoEFFN
from sparsebench.models.moe.routing.balance import balance_loss
from sparsebench.models.moe.routing.choices import Routing
from sparsebench.models.moe.routing.config import RoutingConfig

from ..agreement import agree
from .oracle import Oracle, difference, rounding

ORACLE = Oracle("llama_moe_v2.safetensors")
SCALE = ORACLE.about["scale_factor"]
BLOCK = rounding(products=3, terms=64)
"""Router, and two products of an expert."""
BLOCK_BACKWARD = rounding(products=6, terms=64)
MODEL = rounding(products=19, terms=64)
"""Two layers of nine products (projections, attention, router, expert), and the head."""
MODEL_BACKWARD = rounding(products=38, terms=64)
MODELS = ("mlp_8top2", "mlp_8top2_indices", "residual_1p7top1")


def configuration(model: str, scale: float | None = None) -> MoEConfig:
    scale = SCALE[model] if scale is None else scale
    if model.startswith("mlp"):
        return preset("llama_moe_v2_8top2", faithful=True, scale=scale)
    return preset("v2_1p7top1", faithful=True, scale=scale, split="sequential", router_init="random")


def dense(model: str) -> Any:
    """The dense Llama, the neurons of each FFN in the order in which the experts hold them."""
    made = transformers.LlamaForCausalLM(transformers.LlamaConfig(**ORACLE.about["dense"], tie_word_embeddings=False))
    made.load_state_dict(ORACLE.below("dense."))
    for index, layer in enumerate(made.model.layers):
        name = f"{model}.neurons.layer{index}"
        if name in ORACLE:
            order = ORACLE[name].flatten()
            for linear, dim in ((layer.mlp.gate_proj, 0), (layer.mlp.up_proj, 0), (layer.mlp.down_proj, 1)):
                linear.weight.data.copy_(linear.weight.data.index_select(dim, order))
    return made.eval()


def converted(model: str, scale: float | None = None) -> Any:
    """The mixture, in eval mode, with the recorded routers and neurons."""
    made, source = dense(model), dense(model)
    convert(made, configuration(model, scale))
    gates = model.removesuffix("_indices")
    for index, layer in enumerate(made.model.layers):
        layer.mlp.router.weight.data.copy_(ORACLE[f"{gates}.gate.layer{index}"])
        if layer.mlp.shared is not None:
            deal_out(layer.mlp, source.model.layers[index].mlp)
    return made


def deal_out(layer: MoEFFN, ffn: Any) -> None:
    """The first neurons to the shared block, the others in their order to the experts."""
    blocks = torch.arange(layer.hidden).chunk(layer.config.num_experts)
    whole = DenseFFN(
        gate=ffn.gate_proj.weight,
        up=ffn.up_proj.weight,
        down=ffn.down_proj.weight,
        gate_bias=None,
        up_bias=None,
        down_bias=None,
        activation=ffn.act_fn,
    )
    with torch.no_grad():
        layer.shared, layer.experts = whole.bank(blocks[:1]), whole.bank(blocks[1:])


def expert_gradients(layer: MoEFFN) -> dict[str, Tensor]:
    """Of all experts, stacked, under their official names."""
    gate_up, down = layer.experts.gate_up.grad, layer.experts.down.grad
    assert gate_up is not None and down is not None
    gate, up = gate_up.chunk(2, dim=1)
    return {"w1": gate, "w2": down, "w3": up}


def check_no_gradient(found: Tensor, recorded: Tensor, other: Tensor) -> None:
    """The only expert has weight 1 whatever the router says: just rounding is left, on the scale of other gradients."""
    assert max(found.abs().max(), recorded.abs().max()) < BLOCK_BACKWARD * other.abs().max()


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("model", ["mlp_8top2", "residual_1p7top1"])
def test_block(model: str, mode: str) -> None:
    """Router logits, output, and the gradients of input, router and experts of one block."""
    layer, stem = converted(model).model.layers[0].mlp.train(mode == "train"), f"block.{model}.{mode}"
    x = ORACLE["block.x"].requires_grad_()
    y = layer.routed(x.flatten(0, 1)).view_as(x)
    agree(y, ORACLE[f"{stem}.y"], "outputs", within=BLOCK)
    agree(layer.router(x.flatten(0, 1)).logits, ORACLE[f"{stem}.router_logits"], "logits", within=BLOCK)
    (y * ORACLE["block.cotangent"]).sum().backward()
    assert x.grad is not None
    agree(x.grad, ORACLE[f"{stem}.grad.x"], "gradients", within=BLOCK_BACKWARD)
    for name, gradient in expert_gradients(layer).items():
        agree(gradient, ORACLE[f"{stem}.grad.experts.{name}"], "gradients", within=BLOCK_BACKWARD, where=name)
    recorded, found = ORACLE[f"{stem}.grad.gate"], layer.router.weight.grad
    if model == "mlp_8top2":
        agree(found, recorded, "gradients", within=BLOCK_BACKWARD)
    else:
        check_no_gradient(found, recorded, x.grad)


def test_residual_block() -> None:
    layer, stem = converted("residual_1p7top1").model.layers[0].mlp, "block.residual_1p7top1.eval"
    assert layer.shared is not None
    x = ORACLE["block.x"]
    agree(layer.shared(x), ORACLE[f"{stem}.residual_y"], "outputs", within=BLOCK)
    agree(layer(x), ORACLE[f"{stem}.y"] + ORACLE[f"{stem}.residual_y"], "outputs", within=BLOCK)


@pytest.mark.parametrize("model", MODELS)
def test_logits(model: str) -> None:
    made = converted(model)
    with torch.no_grad():
        agree(made(ORACLE["input_ids"]).logits, ORACLE[f"{model}.logits"], "logits", within=MODEL)


@pytest.mark.parametrize("model", ["mlp_8top2", "residual_1p7top1"])
def test_padded_logits(model: str) -> None:
    """Only those of real tokens count."""
    mask = ORACLE["attention_mask"]
    with torch.no_grad():
        logits = converted(model)(ORACLE["input_ids"], attention_mask=mask).logits
    real = mask.bool()
    assert 0 < int(real.sum()) < real.numel()
    agree(logits[real], ORACLE[f"{model}.logits_padded"][real], "logits", within=MODEL)


def test_logits_at_scale_one() -> None:
    with torch.no_grad():
        logits = converted("residual_1p7top1", scale=1.0)(ORACLE["input_ids"]).logits
    agree(logits, ORACLE["residual_1p7top1.logits_scale1"], "logits", within=MODEL)


def test_the_dense_model() -> None:
    """That from which all are made is the one that was recorded."""
    with torch.no_grad():
        agree(dense("mlp_8top2")(ORACLE["input_ids"]).logits, ORACLE["dense_logits"], "logits", within=MODEL)


@pytest.mark.parametrize("model", ["mlp_8top2", "residual_1p7top1"])
def test_training(model: str) -> None:
    """Loss, balance loss and gradients of the whole model. The balance loss is a constant, here one for each layer."""
    made = converted(model).train()
    ids = ORACLE["input_ids"]
    cross_entropy = made(ids, labels=ids).loss
    per_layer = aux_loss(made) / len(made.model.layers)
    coefficient = made.model.layers[0].mlp.config.balance_coef
    for name in ("aux_loss", "aux_loss_layer_wise"):
        agree(per_layer[None] / coefficient, ORACLE[f"{model}.{name}"], "losses", within=BLOCK, where=name)
    loss = cross_entropy + per_layer
    agree(loss[None], ORACLE[f"{model}.train_loss"], "losses", within=MODEL)
    loss.backward()
    recorded = ORACLE.below(f"{model}.train_grad.")
    assert len(recorded) == {"mlp_8top2": 4, "residual_1p7top1": 6}[model]
    for name, wanted in recorded.items():
        found = gradient_of(made, name)
        if name.endswith("gate.weight") and model == "residual_1p7top1":
            check_no_gradient(found, wanted, recorded[name.replace("gate", "experts.3.w2")])
        else:
            agree(found, wanted, "gradients", within=MODEL_BACKWARD, where=name)


def gradient_of(model: Any, name: str) -> Tensor:
    """The gradient that has this official name, such as `model.layers.0.block_sparse_moe.experts.3.w2.weight`."""
    _, _, layer, *path = name.split(".")
    mlp = model.model.layers[int(layer)].mlp
    match path:
        case ["block_sparse_moe", "gate", "weight"]:
            return mlp.router.weight.grad
        case ["block_sparse_moe", "experts", expert, matrix, "weight"]:
            return expert_gradients(mlp)[matrix][int(expert)]
        case ["mlp_residual", "w2", "weight"]:
            return mlp.shared.down.grad[0]
        case ["mlp_residual", matrix, "weight"]:
            return mlp.shared.gate_up.grad[0].chunk(2)[("w1", "w3").index(matrix)]
    raise AssertionError(name)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_balance_loss(k: int) -> None:
    """Of one layer, and over all layers, where it is the same constant."""
    for layer in range(3):
        logits = ORACLE[f"balance.router_logits.layer{layer}"]
        index = logits.topk(k).indices
        config = RoutingConfig(balance="switch", balance_coef=1.0, faithful=True)
        loss = balance_loss(config, Routing(index, torch.ones(index.shape), logits))
        for way in ("single_layer", "all_layers", "layer_wise"):
            agree(loss[None], ORACLE[f"balance.top{k}.{way}"], "losses", within=BLOCK, where=way)


@pytest.mark.parametrize("part", ["router", "experts", "shared"])
def test_a_changed_weight_is_seen(part: str) -> None:
    """A thousandth more of one part of the last layer."""
    model = "residual_1p7top1" if part == "shared" else "mlp_8top2"
    made = converted(model)
    mlp = made.model.layers[-1].mlp
    weight = {"router": mlp.router.weight, "experts": mlp.experts.gate_up}.get(part)
    weight = mlp.shared.down if weight is None else weight
    with torch.no_grad():
        weight.mul_(1.001)
        assert difference(made(ORACLE["input_ids"]).logits, ORACLE[f"{model}.logits"]) > MODEL
