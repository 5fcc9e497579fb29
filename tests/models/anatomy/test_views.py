"""Parts taken out of blocks, against the block whose part gives 0; and what a model has."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from sparsebench.models.anatomy import Wrapper, describe
from sparsebench.models.errors import ModelError

Build = Callable[[str], nn.Module]
PRE_NORM = ("llama", "qwen3", "vit", "timm_vit", "mixtral")


@torch.no_grad()
def silence(part: nn.Module) -> None:
    """Let a part give 0 by its own weights."""
    for parameter in part.parameters():
        parameter.zero_()


@pytest.mark.parametrize("name", PRE_NORM)
@pytest.mark.parametrize("part", ["mlp", "attention"])
def test_a_removed_part_of_a_pre_norm_block_gives_zero(
    name: str, part: str, build: Build, example: Callable, run: Callable
) -> None:
    model, oracle = build(name), build(name)
    block = describe(model).blocks[0]
    getattr(block, f"remove_{part}")()
    silence(getattr(describe(oracle).blocks[0], part).site.get())
    torch.testing.assert_close(run(model, example(model)), run(oracle, example(oracle)))
    again = describe(model).blocks[0]
    for view in (block, again):
        assert getattr(view, part) is None and len(view.norms) == 1
    assert [site.path for site in again.linears] == [site.path for site in block.linears]
    assert again.linears or part == "attention"
    left = sum(parameter.numel() for parameter in model.parameters())
    assert left < sum(parameter.numel() for parameter in oracle.parameters())


@pytest.mark.parametrize("name", ["bert", "roberta"])
@pytest.mark.parametrize("part", ["mlp", "attention"])
def test_a_removed_part_of_a_post_norm_block_takes_the_norm_of_its_sum_along(
    name: str, part: str, build: Build, example: Callable, run: Callable
) -> None:
    model, oracle = build(name), build(name)
    block = describe(model).blocks[1]
    getattr(block, f"remove_{part}")()
    # x + 0, without the norm: only the other part changes it.
    layer = describe(oracle).blocks[1].site.get()

    def without(module: nn.Module, args: tuple, keywords: dict) -> torch.Tensor:
        x = args[0]
        if part == "mlp":
            return layer.attention(x, **keywords)[0]
        return layer.output(layer.intermediate(x), x)

    forward = layer.forward
    layer.forward = lambda x, *args, **keywords: without(layer, (x,), {"attention_mask": args[0] if args else None})
    assert forward is not layer.forward
    torch.testing.assert_close(run(model, example(model)), run(oracle, example(oracle)))
    again = describe(model).blocks[1]
    assert getattr(again, part) is None and len(again.norms) == 1


def test_a_model_without_its_first_attention_generates_from_a_cache(build: Build) -> None:
    model, oracle = build("llama"), build("llama")
    describe(model).blocks[0].remove_attention()
    silence(oracle.model.layers[0].self_attn)
    ids = torch.randint(3, 64, (2, 5), generator=torch.Generator().manual_seed(0))
    ways = {"max_new_tokens": 5, "do_sample": False}
    assert torch.equal(model.generate(ids, **ways), oracle.generate(ids, **ways))
    with torch.no_grad():
        first = model(ids[:, :3], use_cache=True)
        rest = model(ids[:, 3:], cache=first.cache).logits
        torch.testing.assert_close(rest, oracle(ids).logits[:, 3:])


def test_all_of_a_block_can_go(build: Build, example: Callable, run: Callable) -> None:
    model = build("timm_vit")
    shorter = copy.deepcopy(model)
    block = describe(model).blocks[0]
    block.remove_attention()
    block.remove_mlp()
    describe(shorter).remove([0])
    assert torch.equal(run(model, example(model)), run(shorter, example(shorter)))
    with pytest.raises(ModelError, match="has no attention"):
        describe(model).blocks[0].remove_attention()


def test_what_cannot_be_taken_out_is_refused(build: Build) -> None:
    with pytest.raises(ModelError, match="no FFN that can be taken out"):
        describe(build("efficientnet")).blocks[1].remove_mlp()
    model = build("llama")
    model.model.layers[0].mlp = Wrapper(model.model.layers[0].mlp)
    with pytest.raises(ModelError, match="take the adapters off first"):
        describe(model).blocks[0].remove_mlp()
    block = describe(model).blocks[1]
    block.mlp_norms = None
    with pytest.raises(ModelError, match="does not say which norms"):
        block.remove_mlp()
    assert hasattr(model.model.layers[1].mlp, "up_proj")


TRAITS = {
    "llama": {"blocks", "attention", "ffn", "causal"},
    "bert": {"blocks", "attention", "ffn"},
    "vit": {"blocks", "attention", "ffn", "image tokens"},
    "timm_vit": {"blocks", "attention", "ffn", "image tokens"},
    "mixtral": {"blocks", "attention", "experts", "causal"},
    "efficientnet": {"blocks", "convolutions"},
}


@pytest.mark.parametrize("name", TRAITS)
def test_traits(name: str, build: Build) -> None:
    assert describe(build(name)).traits == TRAITS[name]


def test_convolutions_of_any_size(build: Build) -> None:
    block = describe(build("efficientnet")).blocks[1]
    assert [site.get().kernel_size for site in block.convs] == [(1, 1), (3, 3), (1, 1)]
    assert [site.get() for site in block.linears] == [block.convs[0].get(), block.convs[2].get()]
