"""Blocks one by one, against whole runs of the model."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
import transformers
from torch import Tensor, nn

from sparsebench.models.adapters import BottleneckConfig, attach
from sparsebench.models.anatomy import describe
from sparsebench.models.calibration.by_block import BlockPass, by_block
from sparsebench.models.calibration.calls import call_model
from sparsebench.models.errors import ModelError

from ..graphsgpt.model_cases import MIXED, batch, small
from ..zoo.text_families import FAMILIES as TEXT
from ..zoo.text_families import MIXTURES, padded_inputs
from ..zoo.text_families import build as build_text

Build = Callable[[str], nn.Module]
WITH_HEADS = [(name, family.names()[1]) for name, family in (TEXT | MIXTURES).items()]


def entered(model: nn.Module, run: Callable[[], Any]) -> list[list[Tensor]]:
    """What enters each block while `run` is called, batch by batch."""
    found: list[list[Tensor]] = [[] for _ in describe(model).blocks]
    hooks = []
    for block, seen in zip(describe(model).blocks, found, strict=True):

        def note(module: nn.Module, args: Any, kwargs: Any, seen: list[Tensor] = seen) -> None:
            seen.append((args[0] if args else kwargs["hidden_states"]).clone())

        hooks.append(block.site.get().register_forward_pre_hook(note, with_kwargs=True))
    run()
    for hook in hooks:
        hook.remove()
    return found


@torch.no_grad()
def whole(model: nn.Module, batches: list[Any]) -> list[list[Tensor]]:
    return entered(model, lambda: [call_model(model, given) for given in batches])


def streamed(model: nn.Module, batches: list[Any]) -> list[list[Tensor]]:
    """What enters each block in `run`, not in captures or when outputs are passed on."""
    found: list[list[Tensor]] = []
    for step in by_block(model, batches):
        found.append(entered(model, step.run)[step.block.index])
    return found


def same(found: list[list[Tensor]], expected: list[list[Tensor]]) -> None:
    assert [len(seen) for seen in found] == [len(seen) for seen in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(ours, theirs, strict=True))


def masks_in(step: BlockPass) -> list[Tensor]:
    """What the step says is real, batch by batch, while it runs."""
    found: list[Tensor] = []
    hook = step.block.site.get().register_forward_hook(lambda *_: found.append(step.mask))
    step.run()
    hook.remove()
    return found


@pytest.mark.parametrize(("family", "cls"), WITH_HEADS, ids=TEXT | MIXTURES)
def test_every_text_family_sees_what_it_sees_as_a_whole(family: str, cls: str) -> None:
    """Padding, encoders with decoders, and every kind of mask and position."""
    model = build_text(family, cls)
    inputs = padded_inputs(model)
    labels = inputs.get("decoder_input_ids", inputs["input_ids"]).contiguous()
    batches = [inputs, {name: value[:1] for name, value in inputs.items()}, {**inputs, "labels": labels}]
    same(streamed(model, batches), whole(model, batches))


@pytest.mark.parametrize("name", ["vit", "timm_vit", "swin", "timm_swin", "efficientnet"])
def test_images_too(name: str, build: Build, example: Callable) -> None:
    sizes = {"embed_dim": 8, "depths": (2, 2), "num_heads": (2, 2), "window_size": 2}
    if name == "swin":
        config = transformers.SwinConfig(image_size=16, patch_size=2, **sizes)
        model = transformers.SwinForImageClassification(config).eval()
    elif name == "timm_swin":
        model = timm.create_model("swin_tiny_patch4_window7_224", img_size=32, num_classes=3, **sizes).eval()
    else:
        model = build(name)
    batches = [example(model), example(model, seed=1)[:1]]
    same(streamed(model, batches), whole(model, batches))


def test_both_halves_of_graphsgpt() -> None:
    """The decoder sees other tokens than the encoder, and gets its words."""
    model = small(encoder_ids="canonical")
    batches = [batch(), batch(MIXED[:2])]
    same(streamed(model, batches), whole(model, batches))
    lengths = [len(tokens.mask[0]) for tokens in batches]
    for step in by_block(model, batches, blocks=(1, 2)):
        real = masks_in(step)
        # Three words, then a molecule; in the decoder BOS lies between.
        before = 3 + (step.block.index == 2)
        for mask, tokens, length in zip(real, batches, lengths, strict=True):
            assert mask.shape == (len(tokens), before + length)
            assert mask[:, :before].all() and torch.equal(mask[:, before:], tokens.mask)


def test_a_block_that_changes_gives_the_next_one_other_inputs(build: Build) -> None:
    """Each is changed in turn after it was looked at; the model as it is then is the reference."""
    model = build("mixtral")
    batches = [torch.arange(3, 10)[None], torch.arange(4, 24).view(4, 5)]
    for step in by_block(model, batches):
        found = entered(model, step.run)[step.block.index]
        same([found], [whole(model, batches)[step.block.index]])
        assert step.block.mlp is not None and step.block.mlp.experts is not None
        step.block.mlp.experts.keep([0, 3])
        if step.block.index == 0:
            step.block.remove_attention()


def test_some_blocks() -> None:
    model = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            hidden_size=8, intermediate_size=8, num_attention_heads=2, num_hidden_layers=6, vocab_size=16
        )
    )
    calls = [0] * 6
    for index, layer in enumerate(model.model.layers):
        layer.mlp.register_forward_pre_hook(lambda *_, index=index: calls.__setitem__(index, calls[index] + 1))
    batches = [torch.ones(1, 3, dtype=torch.long)] * 5
    expected = whole(model, batches)
    calls[:] = [0] * 6
    found = []
    for step in by_block(model, batches, blocks=(1, 3)):
        found.append(entered(model, step.run)[step.block.index])
    same(found, [expected[1], expected[3]])
    # Block 0 runs for the capture of block 1, whose first batch runs up to block 3; what block 3 gives, nobody needs.
    assert calls == [5, 1 + 5 + 5, 1 + 5, 5, 0, 0]


def test_a_final_run_passes_its_outputs_on(build: Build) -> None:
    model = build("llama")
    batches = [torch.ones(1, 3, dtype=torch.long)] * 4
    runs = []
    hook = model.model.layers[0].mlp.register_forward_pre_hook(lambda *_: runs.append(1))
    expected = whole(model, batches)
    runs.clear()
    found = []
    for step in by_block(model, batches):
        found.append(entered(model, lambda step=step: step.run(final=True))[step.block.index])
        with pytest.raises(ModelError, match=r"model.layers.\d has passed its outputs on"):
            step.run()
    same(found, expected)
    hook.remove()
    assert len(runs) == 4 + 1, "one run with each batch, and the one that shows how the blocks are called"


@pytest.mark.parametrize("family", ["Mixtral", "GptOss", "XLMRoberta", "ModernBert", "T5"])
def test_the_mask_says_which_tokens_are_real(family: str) -> None:
    model = build_text(family, (TEXT | MIXTURES)[family].names()[1])
    inputs = padded_inputs(model)
    seen: list[Tensor] = []
    for step in by_block(model, [inputs]):
        seen += masks_in(step)
        with pytest.raises(ModelError, match="no batch is in the block"):
            step.mask  # noqa: B018 - a property that raises
    encoder = inputs["attention_mask"].bool()
    decoder = inputs.get("decoder_attention_mask")
    masks = [encoder] * 2 if decoder is None else [encoder] * 2 + [decoder.bool()] * 2
    assert len(seen) == len(masks) and all(torch.equal(mask, real) for mask, real in zip(seen, masks, strict=True))


def test_without_a_mask_all_tokens_are_real(build: Build, example: Callable) -> None:
    model = build("vit")
    for step in by_block(model, [example(model)]):
        seen = masks_in(step)
        assert seen[0].shape == (2, 5) and seen[0].all()


def test_only_the_hidden_states_of_one_place_are_held(build: Build) -> None:
    model = build("llama")
    given: list[weakref.ref[Tensor]] = []
    hook = model.model.layers[0].register_forward_hook(lambda module, args, out: given.append(weakref.ref(out)))
    alive = []
    for step in by_block(model, [torch.ones(1, 3, dtype=torch.long)] * 4):
        step.run()
        if step.block.index == 1:
            gc.collect()
            alive = [ref for ref in given if ref() is not None]
    hook.remove()
    assert len(given) == 4 + 4 + 4, "the capture, the run of the caller, and the one that passes outputs on"
    assert len(alive) == 4


@pytest.mark.parametrize("end", ["done", "error", "closed"])
def test_modes_come_back(end: str, build: Build) -> None:
    model = build("bert").train()
    model.bert.embeddings.eval()
    modes = {name: module.training for name, module in model.named_modules()}
    steps = by_block(model, [torch.ones(1, 3, dtype=torch.long)])
    assert {name: module.training for name, module in model.named_modules()} == modes, "nothing happens before"
    try:
        for step in steps:
            assert not any(module.training for module in model.modules()) and torch.is_grad_enabled()
            step.run()
            if end == "error":
                raise KeyError
            if end == "closed":
                break
    except KeyError:
        assert end == "error"
    steps.close()  # type: ignore[attr-defined]
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_modules_that_the_caller_puts_in_follow(build: Build) -> None:
    model = build("llama").train()
    for step in by_block(model, [torch.ones(1, 3, dtype=torch.long)]):
        step.block.mlp.replace(nn.Dropout(0.5))  # type: ignore[union-attr]
        modes = []
        step.block.site.get().register_forward_hook(lambda module, *_, modes=modes: modes.append(module.mlp.training))
        step.run()
        assert modes == [False]
    assert model.model.layers[1].mlp.training


def test_adapters_inside_blocks_are_passed(build: Build) -> None:
    model = build("llama")
    adapters = attach(model, BottleneckConfig(r=3, placement="houlsby", train_head=False))
    for parameter in adapters.parameters():
        parameter.data += 0.1
    batches = [torch.arange(3, 10)[None]] * 2
    same(streamed(model, batches), whole(model, batches))


def test_bad_input(build: Build, example: Callable) -> None:
    model = build("llama")
    with pytest.raises(ModelError, match="no calibration batches"):
        by_block(model, [])
    with pytest.raises(ModelError, match=r"blocks=\[-1, 2\]: the model has blocks 0..1"):
        by_block(model, [example(model)], blocks=(2, 0, -1))
    parallel = timm.create_model(
        "vit_tiny_patch16_224",
        img_size=32,
        embed_dim=32,
        depth=2,
        num_heads=4,
        num_classes=3,
        block_fn=timm.models.vision_transformer.ParallelThingsBlock,
    )
    with pytest.raises(ModelError, match=r"blocks\.0 is the module of two blocks"):
        by_block(parallel, [torch.zeros(1, 3, 32, 32)])
    assert list(by_block(model, [example(model)], blocks=())) == []
