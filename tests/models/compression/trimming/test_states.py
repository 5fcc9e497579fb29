"""Pairs of states of single calls, against what the parts of the block give by themselves."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.anatomy import Block, describe
from sparsebench.models.compression.trimming.states import Window, around_attention, around_mlp, mlp_alone
from sparsebench.models.errors import ModelError

from ...zoo.text_families import FAMILIES, build, padded_inputs


class Stop(Exception):  # noqa: N818 - not an error
    pass


def called(model: Any, index: int) -> tuple[Block, tuple, dict, Any]:
    """A block, what it is called with, and what it returns."""
    block = describe(model).blocks[index]
    found: list[tuple] = []

    def look(module: nn.Module, args: tuple, keywords: dict, output: Any) -> None:
        found.append((args, keywords, output))
        raise Stop

    hook = block.site.get().register_forward_hook(look, with_kwargs=True)
    with pytest.raises(Stop), torch.no_grad():
        model(**padded_inputs(model), use_cache=False)
    hook.remove()
    args, keywords, output = found[0]
    return block, args, keywords, output


def family(name: str) -> Any:
    return build(name, FAMILIES[name].names()[0])


def first(output: Any) -> Tensor:
    return output if isinstance(output, Tensor) else output[0]


@torch.no_grad()
def test_tokens_that_lie_in_one_row_come_back_in_their_shape() -> None:
    """OPT: norm and FFN see all tokens of all rows in one."""
    block, args, keywords, output = called(family("OPT"), 1)
    before, after = around_mlp(block, args, keywords, output)
    layer: Any = block.site.get()
    normed = layer.final_layer_norm(before)
    out = layer.fc2(layer.activation_fn(layer.fc1(normed)))
    torch.testing.assert_close(after, before + out)
    entered, left = mlp_alone(block, args, keywords, output)
    torch.testing.assert_close(entered, normed)
    torch.testing.assert_close(left, out)


@pytest.mark.parametrize(("name", "norm"), [("GPTNeoX", "post_attention_layernorm"), ("StableLm", "input_layernorm")])
@torch.no_grad()
def test_parts_that_add_to_one_input(name: str, norm: str) -> None:
    """x + A(Norm1(x)) + F(Norm2(x)), in StableLM with one norm for both, which stays for the attention.

    The FFN is compared beside the attention, the attention without it.
    """
    block, args, keywords, output = called(family(name), 0)
    layer: Any = block.site.get()
    x = args[0]
    out = layer.mlp(getattr(layer, norm)(x))
    before, after = around_mlp(block, args, keywords, output)
    torch.testing.assert_close(after, first(output))
    torch.testing.assert_close(before, first(output) - out)
    before, after = around_attention(block, args, keywords, output)
    torch.testing.assert_close(before, x)
    torch.testing.assert_close(after, first(output) - out)
    assert isinstance(layer.input_layernorm, nn.LayerNorm)


@torch.no_grad()
def test_norms_after_a_part_belong_to_it() -> None:
    """Gemma 2: x' + Norm2(F(Norm1(x')))."""
    block, args, keywords, output = called(family("Gemma2"), 1)
    layer: Any = block.site.get()
    before, after = around_mlp(block, args, keywords, output)
    normed = layer.pre_feedforward_layernorm(before)
    torch.testing.assert_close(after, before + layer.post_feedforward_layernorm(layer.mlp(normed)))
    entered, left = mlp_alone(block, args, keywords, output)
    torch.testing.assert_close(entered, normed)
    torch.testing.assert_close(left, layer.mlp(normed))


@torch.no_grad()
def test_an_attention_in_a_block_without_ffn() -> None:
    model = family("Olmo")
    describe(model).blocks[0].remove_mlp()
    block, args, keywords, output = called(model, 0)
    before, after = around_attention(block, args, keywords, output)
    assert torch.equal(before, args[0]) and torch.equal(after, first(output))
    with pytest.raises(ModelError, match=r"layers\.0 has no FFN"):
        mlp_alone(block, args, keywords, output)


def test_a_window_slides_and_starts_anew_after_a_gap(build: Callable[[str], nn.Module]) -> None:
    block = describe(build("timm_vit")).blocks[0]
    window = Window(2)
    x = [torch.full((1, 2, 3), float(number)) for number in range(5)]
    found = []
    # Block by block: what enters and leaves for the only batch. The third gets something else than the second gave.
    for entering, leaving in ((x[0], x[1]), (x[1], x[2]), (x[3], x[4])):
        window.next_block()
        pair = window(block, (entering,), {}, (leaving,))
        found.append(tuple(float(state[0, 0, 0]) for state in pair) if window.full else None)
    assert found == [None, (0.0, 2.0), None]
