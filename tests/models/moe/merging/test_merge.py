"""Expert i of a merged model is the FFN of model i, to the last digit; the rest is the base's or the mean."""

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from sparsebench.models import load, save
from sparsebench.models.anatomy import describe
from sparsebench.models.counting import count_parameters
from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig, export, routing_probe, to_dense
from sparsebench.models.moe.layer import MoEFFN
from sparsebench.models.moe.merging.merge import merge_experts

Build = Callable[[str], Any]
DENSE = ("llama", "mistral", "qwen2", "qwen3", "bert", "roberta", "vit", "timm_vit")
CONFIG = MoEConfig(num_experts=3, top_k=2, split="whole", score="softmax_topk", balance="switch", seed=2)


@torch.no_grad()
def other(build: Build, name: str, seed: int) -> Any:
    """The same shape with other weights, biases and norms, in float64."""
    model = build(name).double()
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter += 0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return model


def three(build: Build, name: str) -> list[Any]:
    return [other(build, name, seed) for seed in (1, 2, 3)]


def ffns(model: nn.Module) -> list[nn.Module]:
    """Each dense FFN, as a chain of its own modules."""
    return [nn.Sequential(*(site.get() for site in block.mlp.parts)) for block in describe(model).blocks if block.mlp]


def layers(model: nn.Module) -> list[Any]:
    return [module for module in model.modules() if isinstance(module, MoEFFN)]


@torch.no_grad()
@pytest.mark.parametrize("name", DENSE)
def test_the_mixture_is_the_weighted_sum_of_the_models_ffns(name: str, build: Build) -> None:
    models = three(build, name)
    dense = [ffns(copy.deepcopy(model)) for model in models]
    merged = layers(merge_experts(models[0], models, CONFIG))
    x_TD = torch.randn(11, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert len(merged) == 2
    for place, layer in enumerate(merged):
        routing = layer.router(x_TD)
        torch.testing.assert_close(routing.weight.sum(1), torch.ones(11, dtype=torch.float64))
        for token, x in enumerate(x_TD):
            wanted = torch.zeros(32, dtype=torch.float64)
            for expert, weight in zip(routing.index[token].tolist(), routing.weight[token], strict=True):
                wanted = wanted + weight * dense[expert][place](x[None, None])[0, 0]
            torch.testing.assert_close(layer(x), wanted, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("name", ["llama", "bert", "timm_vit"])
def test_the_rest_is_that_of_the_base_or_the_mean(name: str, build: Build) -> None:
    models = three(build, name)
    before = [copy.deepcopy(model.state_dict()) for model in models]
    base = merge_experts(copy.deepcopy(models[0]), models, CONFIG).state_dict()
    mean = merge_experts(copy.deepcopy(models[0]), models, CONFIG, rest="mean").state_dict()
    shared = [key for key in base if key in before[0]]
    assert len(shared) > 10 and base.keys() == mean.keys()
    for key in shared:
        assert torch.equal(base[key], before[0][key])
        if before[0][key].is_floating_point():
            torch.testing.assert_close(mean[key], sum(state[key] for state in before) / 3)
    for model, state in zip(models, before, strict=True):
        assert all(torch.equal(model.state_dict()[key], tensor) for key, tensor in state.items()), "a donor changed"


def test_the_base_may_be_one_of_the_models_and_nothing_is_shared(build: Build, run: Callable) -> None:
    models = three(build, "llama")
    ids = torch.arange(3, 11).view(2, 4)
    apart = merge_experts(copy.deepcopy(models[0]), models, CONFIG, rest="mean")
    within = merge_experts(models[0], models, CONFIG, rest="mean")
    assert torch.equal(run(apart, ids), run(within, ids))
    storages = {parameter.untyped_storage().data_ptr() for parameter in within.parameters()}
    for donor in models[1:]:
        assert not storages & {parameter.untyped_storage().data_ptr() for parameter in donor.parameters()}


def test_tied_embeddings_get_one_mean(build: Build) -> None:
    config = transformers.LlamaConfig(**build("llama").config.to_dict() | {"tie_word_embeddings": True})
    models = [transformers.LlamaForCausalLM(config) for _ in range(2)]
    wanted = (models[0].model.embed_tokens.weight + models[1].model.embed_tokens.weight).detach() / 2
    two = MoEConfig(num_experts=2, split="whole")
    merged = merge_experts(models[0], models, two, rest="mean")
    torch.testing.assert_close(merged.lm_head.weight.detach(), wanted)
    assert merged.lm_head.weight is merged.model.embed_tokens.weight


@torch.no_grad()
def ffn_inputs(model: Any, batch: dict[str, Tensor]) -> list[Tensor]:
    """What enters the FFN of each block."""
    found: list[Tensor] = []
    hooks = [
        block.mlp.register_forward_pre_hook(lambda module, args: found.append(args[0])) for block in model.model.layers
    ]
    model(**batch)
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("centre", [False, True])
def test_rows_are_the_mean_inputs_over_the_prompts(centre: bool, build: Build) -> None:
    """Padding does not count; with hooks on the base, token by token."""
    models = three(build, "llama")
    generator = torch.Generator().manual_seed(0)
    prompts: list[Any] = [
        [{"input_ids": torch.randint(3, 64, (1, length), generator=generator)} for length in lengths]
        for lengths in ((4, 9), (6,), (3, 3, 5))
    ]
    padded = torch.tensor([[5, 6, 7, 0, 0], [8, 9, 3, 4, 5]])
    prompts[1].append({"input_ids": padded, "attention_mask": (padded > 0).long()})
    means = []
    for batches in prompts:
        seen: list[list[Tensor]] = [[], []]
        for batch in batches:
            real = batch.get("attention_mask", torch.ones_like(batch["input_ids"])).bool()
            for place, inputs in enumerate(ffn_inputs(models[0], batch)):
                seen[place] += list(inputs[real])
        means.append([torch.stack(tokens).mean(0) for tokens in seen])
    merged = layers(merge_experts(models[0], models, CONFIG, prompts=prompts, centre=centre))
    for place, layer in enumerate(merged):
        wanted = torch.stack([mean[place] for mean in means])
        if centre:
            wanted = wanted - wanted.mean(0)
        wanted = wanted / wanted.norm(dim=1, keepdim=True)
        torch.testing.assert_close(layer.router.weight.detach(), wanted, atol=1e-12, rtol=1e-12)


@torch.no_grad()
def test_a_merged_llama_is_a_stock_mixtral_with_the_same_logits(build: Build, run: Callable, tmp_path: Path) -> None:
    models = [model.float() for model in three(build, "llama")]
    merged = merge_experts(models[0], models, CONFIG, rest="mean")
    ids = torch.randint(3, 64, (4, 20), generator=torch.Generator().manual_seed(1))
    assert export(merged, tmp_path / "stock") == "MixtralForCausalLM"
    stock = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "stock")
    assert type(stock) is transformers.MixtralForCausalLM
    torch.testing.assert_close(stock(ids).logits, run(merged, ids), atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", ["llama", "bert", "timm_vit"])
def test_saved_counted_probed_and_not_made_dense(
    name: str, build: Build, example: Callable, run: Callable, tmp_path: Path
) -> None:
    """BERT and ViT have biases of down projections that differ: one more neuron in each expert."""
    models = [model.float() for model in three(build, name)]
    batch = example(models[0])
    dense = count_parameters(models[0])
    merged = merge_experts(models[0], models, CONFIG)
    logits = run(merged, batch)
    with routing_probe(merged) as probe:
        probed = run(merged, batch)
    torch.testing.assert_close(probed, logits)  # a probed layer takes no kernel of ours: other last digits
    assert [len(seen.load) for seen in probe.layers.values()] == [3, 3]
    counts = count_parameters(merged)
    assert dense.total < counts.active < counts.total < 3 * dense.total
    if name != "timm_vit":
        save(merged, tmp_path / "model")
        assert torch.equal(run(load(tmp_path / "model"), batch), logits)
    with pytest.raises(ModelError, match=r"each expert is a whole FFN of its own \(split='whole'\).*keep a copy"):
        to_dense(merged)


def test_only_some_layers(build: Build) -> None:
    models = three(build, "llama")
    config = MoEConfig(num_experts=3, split="whole", layers=(1,))
    ups = [model.model.layers[0].mlp.up_proj.weight.detach().clone() for model in models]
    merged = merge_experts(models[0], models, config, rest="mean")
    assert len(layers(merged)) == 1
    torch.testing.assert_close(merged.model.layers[0].mlp.up_proj.weight.detach(), sum(ups) / 3)


def llama(build: Build, **changes: Any) -> Any:
    """One whose configuration differs from the usual one."""
    config = build("llama").config.to_dict() | changes
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**config))


@pytest.mark.parametrize(
    ("make", "rest", "message"),
    [
        (
            partial(llama, intermediate_size=48),
            "base",
            r"model 2 .Llama\w+.: model.layers.0.mlp: gate is 48 x 32, .* base 50 x 32",
        ),
        (
            partial(llama, num_hidden_layers=3),
            "base",
            r"model 2 .Llama\w+. has 3 blocks, the base .Llama\w+. 2",
        ),
        (partial(llama, hidden_act="gelu"), "base", r"model 2 .*layers.0.mlp has another activation"),
        (lambda build: build("bert"), "base", r"model 2 .BertFor.*: gate is missing, .* base 50 x 32"),
        (lambda build: build("mixtral"), "base", "mixture of experts already"),
        (
            partial(llama, vocab_size=70),
            "mean",
            r"model 2 .*: model.embed_tokens.weight is 70 x 32, .* base 64 x 32",
        ),
    ],
)
def test_models_of_another_shape_are_named_and_the_base_stays(
    make: Callable[[Build], Any], rest: Any, message: str, build: Build
) -> None:
    base = build("llama")
    before = copy.deepcopy(base.state_dict())
    with pytest.raises(ModelError, match=message):
        merge_experts(base, [base, make(build)], MoEConfig(num_experts=2, split="whole"), rest=rest)
    after = base.state_dict()
    assert list(after) == list(before) and all(torch.equal(after[key], before[key]) for key in before)


def test_another_vocabulary_is_no_matter_where_only_ffns_are_taken(build: Build) -> None:
    base = build("llama")
    merge_experts(base, [base, llama(build, vocab_size=70)], MoEConfig(num_experts=2, split="whole"))
    assert len(layers(base)) == 2


IDS = {"input_ids": torch.tensor([[3, 4, 5]])}


@pytest.mark.parametrize(
    ("fields", "arguments", "message"),
    [
        ({"split": "random"}, {}, "merging needs split='whole' and reinit=0"),
        ({"reinit": 0.5}, {}, "merging needs split='whole' and reinit=0"),
        ({"num_experts": 4}, {}, "num_experts=4 must be the number of models to merge, 2"),
        ({}, {"rest": "median"}, "rest='median'"),
        ({}, {"prompts": [[IDS]]}, "prompts for 1 models, but 2 are merged"),
        ({"router": "mlp"}, {"prompts": [[IDS], [IDS]]}, "router='mlp' has no rows"),
        ({}, {"prompts": [[IDS], []]}, "no calibration batches"),
        ({}, {"prompts": [[IDS], [IDS]], "centre": True}, "the prompts of a model are like the mean of all"),
    ],
)
def test_what_cannot_be_merged(fields: dict[str, Any], arguments: dict[str, Any], message: str, build: Build) -> None:
    base = build("llama")
    config = MoEConfig(**{"num_experts": 2, "split": "whole"} | fields)
    with pytest.raises(ModelError, match=message):
        merge_experts(base, [base, build("llama")], config, **arguments)
    assert not layers(base)


def test_one_model_is_no_merge(build: Build) -> None:
    with pytest.raises(ModelError, match="merging needs two models or more, not 1"):
        merge_experts(build("llama"), [build("llama")], MoEConfig(num_experts=1, top_k=1, split="whole"))
