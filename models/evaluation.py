"""Models in evaluation for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluation_mode(*models: nn.Module) -> Iterator[None]:
    """Put models in evaluation, and each of their modules back into its own mode at the end, after an error too.

    Modules that come in meanwhile get the mode that the model had.

    Example::

        with evaluation_mode(model), torch.no_grad():
            logits = model(batch)
    """
    before = [(model, model.training) for model in models]
    modes = [(module, module.training) for model in models for module in model.modules()]
    for model in models:
        model.eval()
    try:
        yield
    finally:
        for model, training in before:
            model.train(training)
        # One by one: a frozen part of a model in training may have been in evaluation.
        for module, training in modes:
            module.training = training
