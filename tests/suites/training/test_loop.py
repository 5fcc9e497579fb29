"""The training loop: schedule, parameter groups, data order, determinism, failures."""

import dataclasses
from collections.abc import Iterator

import pytest
import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader

from sparsebench.suites.training.optimizer import parameter_groups, warmup_cosine
from sparsebench.suites.training.result import CURVE_POINTS

from .toy import Fit, Numbers, Recorder, context, linear, squared_error


def test_the_loop_follows_the_schedule() -> None:
    recorder = Recorder()
    Fit(recorder=recorder, learning_rate=0.1, warmup=0.5).fit(linear(), Numbers(), context())
    # After step k the optimizer holds the rate of step k + 1; 4 steps, of which 2 rise.
    assert recorder.rates == pytest.approx([0.1 * warmup_cosine(step, 4, 0.5) for step in (1, 2, 3, 4)])
    assert recorder.events == ["start", "step 1", "step 2", "epoch 0", "step 3", "step 4", "epoch 1"]


def test_the_curve_is_thinned() -> None:
    curve = Fit().fit(linear(), Numbers(), context(epochs=3 * CURVE_POINTS))["train loss"]
    assert CURVE_POINTS // 2 <= len(curve) <= CURVE_POINTS + 1
    assert curve[-1][0] == 6 * CURVE_POINTS, "the last step is kept"


class Lines:
    """Rows of numbers with lengths, whose sum is to be found."""

    def __init__(self, padded: bool) -> None:
        draws = torch.Generator().manual_seed(1)
        self.train = [torch.randn(6, generator=draws) for _ in range(37)]
        self.lengths = torch.randint(1, 9, (37,), generator=draws).tolist() if padded else None

    def collate(self, examples: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.stack(examples)
        return x, x.sum(1, keepdim=True)


class ByLength(BatchSampler):
    """Sixteen batches of random rows sorted by length, cut, in random order."""

    def __init__(self, lengths: list[int], size: int, generator: torch.Generator) -> None:
        super().__init__(range(len(lengths)), size, True)
        self.lengths = lengths
        self.generator = generator

    def __iter__(self) -> Iterator[list[int]]:
        rows = torch.randperm(len(self.lengths), generator=self.generator).tolist()
        rows = rows[: len(rows) // self.batch_size * self.batch_size]
        found: list[int] = []
        for start in range(0, len(rows), 16 * self.batch_size):
            found += sorted(rows[start : start + 16 * self.batch_size], key=lambda row: self.lengths[row])
        batches = [found[start : start + self.batch_size] for start in range(0, len(found), self.batch_size)]
        for number in torch.randperm(len(batches), generator=self.generator).tolist():
            yield batches[number]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("padded", [False, True])
def test_a_plain_loop_with_a_data_loader_gives_the_same_bits(padded: bool, dtype: torch.dtype) -> None:
    """Order, dropout, AdamW, schedule and precision of the loop that made the first committed scores."""
    here = dataclasses.replace(context(epochs=3), dtype=dtype)
    method = Fit(learning_rate=0.05, weight_decay=0.1, warmup=0.3)

    def network() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Dropout(0.2), nn.Linear(8, 1))

    model = network()
    curve = method.fit(model, Lines(padded), here)["train loss"]

    plain = network().train()
    data = Lines(padded)
    generator = here.task_generator("data-order")
    if data.lengths is None:
        loader = DataLoader(data.train, 4, shuffle=True, drop_last=True, generator=generator, collate_fn=data.collate)
    else:
        loader = DataLoader(data.train, batch_sampler=ByLength(data.lengths, 4, generator), collate_fn=data.collate)
    optimizer = torch.optim.AdamW(parameter_groups(plain, 0.1), lr=0.05)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warmup_cosine(step, 27, 0.3))
    losses = []
    for _ in range(3):
        for batch in loader:
            with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
                loss = squared_error(plain, batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
    assert [value for _, value in curve] == losses
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), plain.parameters(), strict=True))
