"""What a backbone of a prediction task is: a feature extractor, and on it a linear head."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sparsebench.models.anatomy import Anatomy, describe, register_describer, see_through

from ..contracts.traits import FEATURES, own_traits


class FeatureExtractor(nn.Module):
    """Maps raw inputs to features. Subclasses set `width` and `unit` and implement the three methods."""

    width: int
    unit: str
    """What one example is called: image, molecule or text."""
    traits: ClassVar[tuple[str, ...]] = ()
    """Traits of the backbone that its anatomy does not show (`contracts/traits.py`); "features" goes without saying."""
    alike: bool = False
    """Whether encoded items are tensors of one size, however many there are."""
    padded: bool = False
    """Whether a batch is padded to its longest item (first dimension): what is only evaluated then goes by length."""

    def encode(self, raw: Sequence[Any]) -> Sequence[Any]:
        """Fixed preprocessing, done once before training (resize, normalise, build graphs)."""
        raise NotImplementedError(f"{type(self).__name__} must implement encode")

    def collate(self, items: list[Any]) -> Any:
        """Encoded items as one batch that has `.to(device)`."""
        return torch.stack(items)

    def forward(self, inputs: Any) -> Tensor:
        """Features of shape (B, width)."""
        raise NotImplementedError(f"{type(self).__name__} must implement forward")

    def stages(self) -> Sequence[Callable[[Any], Any]]:
        """Steps that make up `forward`, one after another; what a step gives, `split` takes apart."""
        return (self.forward,)

    def split(self, result: Any) -> list[Tensor]:
        """What a stage gives for a batch, example by example: here a tensor with examples first."""
        return list(result)

    def join(self, items: list[Tensor]) -> Any:
        """A batch for the next stage from what `split` gave. Maps lie channels last, where convolutions are faster."""
        batch = torch.stack(items)
        if batch.ndim == 4:
            return batch.contiguous(memory_format=torch.channels_last)
        return batch


class LinearHeadModel(nn.Module):
    """A body and a linear head; outputs have shape (B, outputs)."""

    def __init__(self, body: FeatureExtractor, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Linear(body.width, outputs)
        with torch.no_grad():
            self.head.weight.normal_(0.0, 0.02, generator=generator)
            self.head.bias.zero_()

    def forward(self, inputs: Any) -> Tensor:
        """Outputs of shape (B, outputs): logits, or standardised regression values."""
        return self.head(self.body(inputs))


def describe_linear_head_model(model: Any) -> Anatomy:
    """The anatomy of a `LinearHeadModel`: that of its body, with its own head."""
    return replace(describe(model.body), model=model, head=see_through(model, "head"))


register_describer(LinearHeadModel, describe_linear_head_model)


@own_traits.register
def _(loaded: FeatureExtractor) -> frozenset[str]:
    return frozenset({FEATURES, *loaded.traits})
