"""Compute once per cell what training cannot change: the frozen stages before the first trainable one.

With adapters in the last blocks only, most of a forward pass gives the same result in every epoch.
`cache_frozen_features` runs these stages once over the training and validation part; the loop then trains the rest. The
loss curve and the result are those of the whole model (up to the rounding of kernels that depend on the batch). It
holds as long as the method reads no raw inputs while it trains, so a method asks for it in its own `fit`.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from sparsebench.models.counting import flops

from ..contracts.context import Context
from .data import PairedDataset, Pairs, PredictionData, batch_rows, targets_of
from .feature_extractor import FeatureExtractor, LinearHeadModel
from .passes import passes_of

LARGEST = 2**29
"""Bytes above which the results of the frozen stages are not kept."""
SAMPLE = 8
"""Examples from whose results their bytes are reckoned."""


class TailExtractor(FeatureExtractor):
    """The stages of a body from number `start` on; shares its modules."""

    def __init__(self, body: FeatureExtractor, start: int) -> None:
        super().__init__()
        self.whole = body
        self.start = start
        self.width = body.width
        self.unit = body.unit
        self.padded = body.padded

    def collate(self, items: list[Tensor]) -> Any:
        """Results of the frozen stages as one batch."""
        return self.whole.join(items)

    def forward(self, inputs: Any) -> Any:
        """Features of shape (B, width) from the output of stage `start - 1`."""
        return _run(self.whole.stages()[self.start :], inputs)


class TailModel(nn.Module):
    """The trainable rest of a `LinearHeadModel`; shares its modules."""

    def __init__(self, model: LinearHeadModel, start: int) -> None:
        super().__init__()
        self.body = TailExtractor(model.body, start)
        self.head = model.head

    def forward(self, inputs: Any) -> Tensor:
        """Outputs of shape (B, outputs) from the output of the frozen stages."""
        return self.head(self.body(inputs))


def cache_frozen_features(model: nn.Module, data: object, context: Context) -> tuple[nn.Module, Any]:
    """The trainable rest of `model`, and `data` as that rest reads it; both unchanged where there is nothing to gain.

    The frozen stages run in evaluation mode, under autocast where training does. The cached data have no test part.
    With a budget in tokens nothing is cached: features have no tokens to count.
    """
    if context.budget.tokens is not None:
        return model, data
    if not isinstance(model, LinearHeadModel) or not isinstance(data, PredictionData) or not len(data.train):
        return model, data
    sample = list(data.train[:SAMPLE])
    start, size = frozen_stages(model.body, data.collate(sample)[0])
    expected = size / len(sample) * (len(data.train) + len(data.val))
    if start == 0 or expected > LARGEST:
        return model, data
    rest = TailModel(model, start)
    begin = data.clock()
    train = _through(model.body, start, data.train, data, context)
    val = _through(model.body, start, data.val, data, context)
    stages = model.body.stages()[:start]
    operations = flops(lambda inputs: _run(stages, inputs), data.collate(sample)[0]) / len(sample)
    context.ledger.add(seconds=data.clock() - begin, flops=operations * (len(data.train) + len(data.val)))
    return rest, replace(data, body=rest.body, train=train, val=val, test=())


def frozen_stages(body: FeatureExtractor, inputs: object) -> tuple[int, int]:
    """How many of the first stages give a result without a gradient (nothing up to there trains), and its bytes."""
    body.eval()
    size = 0
    with torch.enable_grad():
        stages = body.stages()
        for number, stage in enumerate(stages):
            inputs = stage(inputs)
            parts = body.split(inputs)
            if any(part.requires_grad for part in parts):
                return number, size
            size = sum(part.nbytes for part in parts)
    return len(stages), size


@torch.no_grad()
def _through(body: FeatureExtractor, start: int, part: Pairs, data: PredictionData, context: Context) -> PairedDataset:
    """`part` with the results of the first `start` stages in the place of its inputs."""
    if not len(part):
        return PairedDataset([], torch.zeros(0))
    body.eval()
    found: dict[int, Tensor] = {}
    autocast = torch.autocast(context.device.type, torch.bfloat16, enabled=context.dtype is torch.bfloat16)
    with passes_of(data.passes, body) as once:
        for rows in batch_rows(part, body, context.budget.batch_size):
            inputs, _ = data.collate([part[row] for row in rows])
            with autocast:
                items = once(f"{start} stages", inputs, partial(_items, body, start, inputs))
            found.update(zip(rows, items, strict=True))
    in_order = [found[row] for row in range(len(part))]
    return PairedDataset(in_order, targets_of(part))


def _items(body: FeatureExtractor, start: int, inputs: Any) -> list[Tensor]:
    return body.split(_run(body.stages()[:start], inputs).to("cpu"))


def _run(stages: Any, inputs: Any) -> Any:
    for stage in stages:
        inputs = stage(inputs)
    return inputs
