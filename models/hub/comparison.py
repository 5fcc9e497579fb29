"""Whether a model and what is written of it give the same outputs on a few rows, which no name or shape can say."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ModelError
from ..evaluation import evaluation_mode
from .derived_classes import source_of
from .rooms import room_of

ROWS = 2
TOKENS = 12
SAFETY = 10.0
"""How many times the error of roundings at random may be exceeded; another order of the same sums comes to 1.5."""
LARGEST = 0.5
"""Relative errors from here on are no rounding, whatever the dtype: in 16 bits it is what decides."""

# Shapes: B rows, T tokens, D features of an output.


@torch.no_grad()
def check_outputs(model: nn.Module, written: nn.Module, complaint: str, example: Any = None) -> None:
    """Compare the outputs of two models on the same inputs, in eval mode.

    Half of the tokens (or images) at least must agree to rounding in the dtype of the model: one at a tie of two
    experts may go to either. How far rounding carries is measured on the model itself, whose layers round at random for
    that: norms enlarge it, most of all where a few activations are huge. Inputs are those of `example`, else a few
    random rows; a model for which there are none is not compared.

    Args:
        model: what is to be written.
        written: what will come back.
        complaint: how the error begins.
        example: keywords of the model as a mapping, or its one argument.

    Raises:
        ModelError: they differ.
    """
    batch = few_rows(model) if example is None else example
    if batch is None:
        return
    with _eager(), evaluation_mode(model, written), _any_dtype(written):
        expected, found = (_first(_call(each, batch)) for each in (model, written))
        with _rounding_at_random(model):
            rounded = _first(_call(model, batch))
    error = _median_error(found, expected)
    rounding = max(_eps(expected), _median_error(rounded, expected))  # the first where the second is not a number
    if not error <= min(SAFETY * rounding, LARGEST):  # nor where it is not a number
        raise ModelError(f"{complaint}: on a few random rows outputs differ by {error:.2g} of their size")


def few_rows(model: Any) -> Any:
    """Random inputs, the same at each call: token ids (B, T) or pixel values (B, channels, height, width) for models of
    transformers, an image (B, channels, height, width) for those of timm, `dummy_inputs` of models of ours; None for
    others (with weights on a disk or several devices, of images and text)."""
    places = {parameter.device for parameter in model.parameters()}
    if len(places) != 1 or torch.device("meta") in places:
        return None
    device = places.pop()
    cls = source_of(type(model))
    generator = torch.Generator().manual_seed(0)
    if room_of(cls) is not None:
        return model.dummy_inputs
    if cls.__module__.startswith("timm.") and getattr(model, "pretrained_cfg", None):
        images = torch.randn(ROWS, *_timm_input(model), generator=generator)
        return images.to(device, next(model.parameters()).dtype)
    if not cls.__module__.startswith("transformers.") or model.config.sub_configs:
        return None
    if model.main_input_name == "pixel_values":
        size = model.config.image_size
        height, width = (size, size) if isinstance(size, int) else size
        images = torch.randn(ROWS, model.config.num_channels, height, width, generator=generator)
        return {"pixel_values": images.to(device, model.dtype)}
    if model.main_input_name != "input_ids":
        return None
    count = model.get_input_embeddings().num_embeddings
    ids_BT = torch.randint(count, (ROWS, TOKENS), generator=generator).to(device)
    decoder = {"decoder_input_ids": ids_BT} if model.config.is_encoder_decoder else {}
    return {"input_ids": ids_BT} | decoder


def _timm_input(model: Any) -> tuple[int, int, int]:
    """Channels, height and width that a model of timm takes: of its weights, where it was made for others."""
    config = model.pretrained_cfg
    channels, height, width = config["input_size"]
    stems = dict(model.named_modules())
    channels = getattr(stems.get(config.get("first_conv")), "in_channels", channels)
    height, width = getattr(getattr(model, "patch_embed", None), "img_size", None) or (height, width)
    return channels, height, width


def _call(model: nn.Module, batch: Any) -> Any:
    """The outputs, with the same random numbers at each call: some models draw them in eval mode, too."""
    places = {value.device for value in (*model.parameters(), *model.buffers())}
    devices = sorted(place.index for place in places if place.type == "cuda")
    # Not `manual_seed`, and not every device: others may be at work on the rest.
    with torch.random.fork_rng(devices):
        torch.default_generator.manual_seed(0)
        for device in devices:
            torch.cuda.default_generators[device].manual_seed(0)
        return model(**batch) if isinstance(batch, Mapping) else model(batch)


@contextmanager
def _rounding_at_random(model: nn.Module) -> Iterator[None]:
    """Have the output of every layer with weights, and of every one without inner ones, off by up to one rounding."""
    generator = torch.Generator().manual_seed(0)

    def shake(module: nn.Module, args: Any, output: Any) -> Tensor | None:
        if not isinstance(output, Tensor) or not output.is_floating_point() or output.element_size() == 1:
            return None
        eps = _eps(output)
        # Added, not a factor near 1: below 1 there are twice as many numbers as above, so that most would be smaller.
        noise = torch.empty(output.shape, dtype=torch.float32, device="cpu").uniform_(-eps, eps, generator=generator)
        return output + (output * noise.to(output.device)).to(output.dtype)

    hooks = []
    try:
        for module in model.modules():
            weighted = next(module.parameters(recurse=False), None) is not None
            takes_hooks = not isinstance(module, torch.jit.ScriptModule)
            if takes_hooks and (weighted or next(module.children(), None) is None):
                hooks.append(module.register_forward_hook(shake))
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _eps(values: Tensor) -> float:
    """Of float32 for float64, too: norms and softmax are in it there."""
    return max(torch.finfo(each).eps for each in (values.dtype, torch.float32))


def _eager() -> AbstractContextManager[None]:
    """Nothing compiled, where layers take no new hook; `torch._dynamo`, slow to import, is there if something is."""
    if "torch._dynamo" not in sys.modules:
        return nullcontext()
    return torch.compiler.set_stance("force_eager")


@contextmanager
def _any_dtype(written: Any) -> Iterator[None]:
    """In float64 stock experts have to go one by one: the grouped product of transformers takes none."""
    if not hasattr(written, "set_experts_implementation") or written.dtype != torch.float64:
        yield
        return
    before = written.config._experts_implementation
    written.set_experts_implementation("eager")
    try:
        yield
    finally:
        written.set_experts_implementation(before)


def _first(outputs: Any) -> Tensor:
    return torch.atleast_1d(outputs if isinstance(outputs, Tensor) else outputs[0])


def _median_error(found: Tensor, expected: Tensor) -> float:
    """Median over tokens or rows of |found - expected| / |expected|, of those that are finite in the expected outputs;
    infinite for another shape."""
    if found.shape != expected.shape:
        return math.inf
    finite = expected.isfinite().all(-1)
    if not finite.any():
        return 0.0
    expected_D = expected[finite].double()
    size = expected_D.norm(dim=-1).clamp_min(torch.finfo(expected.dtype).tiny)
    return float(((found[finite].double() - expected_D).norm(dim=-1) / size).median())
