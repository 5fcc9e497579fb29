"""Whether a model and what is written of it give the same outputs on a few rows, which no name or shape can say."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ...anatomy import describe
from ...errors import ModelError
from ...hub.derived_classes import source_of

ROWS = 2
TOKENS = 12
PRODUCTS = 8
"""Matrix products of a block, about: projections of attention and its own two, those of an FFN, the router."""
SAFETY = 50.0
"""How many times the error of independent roundings, sqrt(products) * eps, may be exceeded: norms enlarge it, most of
all where a few activations are huge. SmolLM2, of which that is known, comes to 12."""
LARGEST = 0.5
"""Relative errors from here on are no rounding, whatever the dtype: in 16 bits it is what decides."""

# Shapes: B rows, T tokens, D features of an output.


@torch.no_grad()
def check_outputs(model: nn.Module, written: nn.Module, complaint: str) -> None:
    """Raise a `ModelError` unless both give the same outputs on the same few random inputs, in eval mode.

    Half of the tokens (or images) at least must agree to rounding in the dtype of the model: one at a tie of two
    experts may go to either. There are inputs for models on one device that take token ids or pixel values; others
    (with weights on a disk, of graphs, of images and text) are not compared.
    """
    batch = few_rows(model)
    if batch is None:
        return
    with _evaluating(model), _evaluating(written), _any_dtype(written):
        expected, found = (_first(each(**batch)) for each in (model, written))
    error = _median_error(found, expected)
    # Norms and softmax are in float32 in models of float64, too.
    eps = max(torch.finfo(each).eps for each in (expected.dtype, torch.float32))
    rounding = math.sqrt(PRODUCTS * len(describe(model).blocks)) * eps
    if not error <= min(SAFETY * rounding, LARGEST):  # nor where it is not a number
        raise ModelError(f"{complaint}: on a few random rows outputs differ by {error:.2g} of their size")


def few_rows(model: Any) -> dict[str, Tensor] | None:
    """Random token ids (B, T) or pixel values (B, channels, height, width), the same at each call; None without."""
    places = {parameter.device for parameter in model.parameters()}
    theirs = source_of(type(model)).__module__.startswith("transformers.")
    if not theirs or model.config.sub_configs or len(places) != 1 or torch.device("meta") in places:
        return None
    generator = torch.Generator().manual_seed(0)
    if model.main_input_name == "pixel_values":
        size = model.config.image_size
        height, width = (size, size) if isinstance(size, int) else size
        images = torch.randn(ROWS, model.config.num_channels, height, width, generator=generator)
        return {"pixel_values": images.to(places.pop(), model.dtype)}
    if model.main_input_name != "input_ids":
        return None
    count = model.get_input_embeddings().num_embeddings
    ids_BT = torch.randint(count, (ROWS, TOKENS), generator=generator).to(places.pop())
    decoder = {"decoder_input_ids": ids_BT} if model.config.is_encoder_decoder else {}
    return {"input_ids": ids_BT} | decoder


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def _any_dtype(written: Any) -> Iterator[None]:
    """In float64 stock experts have to go one by one: the grouped product of transformers takes none."""
    if written.dtype != torch.float64 or not hasattr(written, "set_experts_implementation"):
        yield
        return
    before = written.config._experts_implementation
    written.set_experts_implementation("eager")
    try:
        yield
    finally:
        written.set_experts_implementation(before)


def _first(outputs: Any) -> Tensor:
    return outputs if isinstance(outputs, Tensor) else outputs[0]


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
