from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.adapters import attach
from sparsebench.models.adapters.kinds.prompts import PromptConfig
from sparsebench.models.adapters.kinds.shared_parallel import StreamConfig
from sparsebench.models.counting import flops

Make = Callable[[str], nn.Module]


def prompted(model: Any, images: Tensor, prompts: list[Tensor], start: int) -> Tensor:
    """VPT as in the paper: prompts are put in once, and in later blocks written over what became of them."""
    x, count = model._pos_embed(model.patch_embed(images)), len(prompts[0])
    for i, block in enumerate(model.blocks):
        if i == 0:
            x = torch.cat((x[:, :start], prompts[0].expand(len(x), -1, -1), x[:, start:]), dim=1)
        elif i < len(prompts):
            x = torch.cat((x[:, :start], prompts[i].expand(len(x), -1, -1), x[:, start + count :]), dim=1)
        x = block(x)
    x = torch.cat((x[:, :start], x[:, start + count :]), dim=1)
    return model.forward_head(model.norm(x))


@pytest.mark.parametrize("depth", ["shallow", "deep"])
@pytest.mark.parametrize(("family", "start"), [("timm_vit", 1), ("no_class_token", 0), ("registers", 3)])
def test_equals_the_formula(depth: str, family: str, start: int, make: Make, example: Callable, run: Callable) -> None:
    model, plain = make(family).double(), make(family).double()
    adapters = attach(model, PromptConfig(length=3, depth=depth))
    prompts = [layer.prompts for _, layer in adapters.layers() if layer.prompts is not None]
    assert len(prompts) == (1 if depth == "shallow" else 2)
    images = example(model).double()
    with torch.no_grad():
        expected = prompted(plain, images, prompts, start)
    torch.testing.assert_close(run(model, images), expected)
    assert not torch.allclose(expected, run(plain, images))


def test_one_block_does_both(make: Make, example: Callable, run: Callable) -> None:
    model, other = make("vit"), make("vit")
    attach(model, PromptConfig(depth="shallow", blocks=1))
    attach(other, PromptConfig(depth="deep", blocks=1))
    assert torch.equal(run(model, example(model)), run(other, example(model)))


def test_start(make: Make) -> None:
    """Uniform up to sqrt(6 / (3 * 16 * 16 + 32)); not the same in every block."""
    first, second = (layer.prompts for _, layer in attach(make("timm_vit"), PromptConfig(length=100)).layers())
    bound = (6 / 800) ** 0.5
    assert 0.99 * bound < first.abs().max() <= bound and not torch.equal(first, second)


@pytest.mark.parametrize("depth", ["shallow", "deep"])
def test_operations_can_be_counted(depth: str, make: Make, example: Callable) -> None:
    """The flop counter watches calls of modules, and cannot take a parameter's view for an input of one."""
    model, plain = make("timm_vit"), make("timm_vit")
    attach(model, PromptConfig(depth=depth))
    assert flops(model, example(model)) > flops(plain, example(plain))


def test_dropout_acts_on_prompts_in_training(make: Make, example: Callable) -> None:
    model = make("timm_vit")
    attach(model, PromptConfig(dropout=0.5))
    batch = example(model)
    assert torch.equal(model(batch), model(batch))
    model.train()
    assert not torch.equal(model(batch), model(batch))


def test_prompts_around_a_stream_adapter(make: Make, shake: Callable, example: Callable, run: Callable) -> None:
    """Prompts first, then adapters inside them, which see the prompts too; the other order is refused."""
    model = make("timm_vit")
    attach(model, PromptConfig(), "prompts")
    before = run(model, example(model))
    stream = attach(model, StreamConfig(), "stream")
    assert torch.equal(run(model, example(model)), before)
    shake(stream)
    assert not torch.allclose(run(model, example(model)), before, atol=1e-4)
    model = make("timm_vit")
    attach(model, StreamConfig(), "stream")
    with pytest.raises(ValueError, match="attach prompts before adapters 'stream'"):
        attach(model, PromptConfig(), "prompts")


@pytest.mark.parametrize("family", ["bert", "llama", "efficientnet"])
def test_only_for_images_as_tokens(family: str, make: Make) -> None:
    with pytest.raises(ValueError, match="does not see an image as tokens: use PrefixConfig"):
        attach(make(family), PromptConfig())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"length": 0}, "length=0 must be"),
        ({"depth": "depe"}, "did you mean 'deep'"),
    ],
)
def test_bad_configurations(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PromptConfig(**values)
