"""Compute once per cell what training cannot change: the frozen stages before the first trainable one.

With adapters in the last blocks only, most of a forward pass gives the same result in every epoch. `cut` runs these
stages once over the training and validation part; the loop then trains the rest. The loss curve and the result are
those of the uncut model (up to the rounding of kernels that depend on the batch). It holds as long as the method reads
no raw inputs while it trains, so a method asks for it in its own `fit`.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ..contracts.context import Context
from .task import Body, Paired, Pairs, PredictionData, Predictor, batch_rows, targets_of

LARGEST = 2**29
"""Bytes above which the results of the frozen stages are not kept."""
SAMPLE = 8
"""Examples from whose results their bytes are reckoned."""


class Remainder(Body):
    """The stages of a body from number `start` on; shares its modules."""

    def __init__(self, body: Body, start: int) -> None:
        super().__init__()
        self.whole, self.start = body, start
        self.width, self.unit, self.padded = body.width, body.unit, body.padded

    def collate(self, items: list[Tensor]) -> Any:
        """Results of the frozen stages as one batch."""
        return self.whole.join(items)

    def forward(self, inputs: Any) -> Any:
        """Features of shape (B, width) from the output of stage `start - 1`."""
        return _run(self.whole.stages()[self.start :], inputs)


class Cut(nn.Module):
    """The rest of a predictor, with the body and head of a `Predictor`; shares its modules."""

    def __init__(self, model: Predictor, start: int) -> None:
        super().__init__()
        self.body, self.head = Remainder(model.body, start), model.head

    def forward(self, inputs: Any) -> Tensor:
        """Outputs of shape (B, outputs) from the output of the frozen stages."""
        return self.head(self.body(inputs))


def cut(model: nn.Module, data: Any, context: Context) -> tuple[nn.Module, Any]:
    """The trainable rest of `model`, and `data` as that rest reads it; both unchanged where there is nothing to gain.

    The frozen stages run in evaluation mode, under autocast where training does. The cut data have no test part.
    """
    if not isinstance(model, Predictor) or not isinstance(data, PredictionData) or not len(data.train):
        return model, data
    sample = list(data.train[:SAMPLE])
    start, size = frozen_stages(model.body, data.collate(sample)[0])
    if start == 0 or size / len(sample) * (len(data.train) + len(data.val)) > LARGEST:
        return model, data
    rest = Cut(model, start)
    train, val = (_through(model.body, start, part, data, context) for part in (data.train, data.val))
    return rest, replace(data, body=rest.body, train=train, val=val, test=())


def frozen_stages(body: Body, inputs: Any) -> tuple[int, int]:
    """How many of the first stages give a result without a gradient (nothing up to there trains), and its bytes."""
    body.eval()
    size = 0
    with torch.enable_grad():
        for number, stage in enumerate(stages := body.stages()):
            inputs = stage(inputs)
            parts = body.split(inputs)
            if any(part.requires_grad for part in parts):
                return number, size
            size = sum(part.nbytes for part in parts)
    return len(stages), size


@torch.no_grad()
def _through(body: Body, start: int, part: Pairs, data: PredictionData, context: Context) -> Paired:
    """`part` with the results of the first `start` stages in the place of its inputs."""
    body.eval()
    found: dict[int, Tensor] = {}
    for rows in batch_rows(part, body, context.budget.batch_size):
        inputs, _ = data.collate([part[row] for row in rows])
        with torch.autocast(context.device.type, torch.bfloat16, enabled=context.dtype is torch.bfloat16):
            items = body.split(_run(body.stages()[:start], inputs).to("cpu"))
        found.update(zip(rows, items, strict=True))
    return Paired([found[row] for row in range(len(part))], targets_of(part) if len(part) else torch.zeros(0))


def _run(stages: Any, inputs: Any) -> Any:
    for stage in stages:
        inputs = stage(inputs)
    return inputs
