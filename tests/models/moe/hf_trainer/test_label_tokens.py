"""What part of a step a micro-batch is: counted as transformers' `Trainer` counts its label tokens."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sparsebench.models.moe.hf_trainer.label_tokens import share_of_step

from .tiny_trainer import MICRO, trainer

LABELS = torch.tensor([[7, 8, 9, -100], [-100, 5, -100, -100]])


@pytest.mark.parametrize("family", ["llama", "mixtral", "bert"])
def test_the_parts_of_a_step_add_up_to_one(build: Callable[[str], Any], tmp_path: Path, family: str) -> None:
    """By the number that `Trainer` itself makes of the batches."""
    model = build(family)
    done = trainer(model, tmp_path)
    batches, total = done.get_batch_samples(iter(done.get_train_dataloader()), MICRO, torch.device("cpu"))
    shares = [share_of_step(model, {"labels": batch["labels"], "num_items_in_batch": total}) for batch in batches]
    assert sum(float(share) for share in shares) == pytest.approx(1)
    assert all(0 < float(share) < 1 for share in shares)


def test_a_causal_model_shifts_its_labels_and_another_does_not(build: Callable[[str], Any]) -> None:
    call = {"labels": LABELS, "num_items_in_batch": torch.tensor(10)}
    assert share_of_step(build("llama"), call) == pytest.approx(0.3)
    assert share_of_step(build("bert"), call) == pytest.approx(0.4)
    assert share_of_step(build("llama"), call | {"shift_labels": LABELS}) == pytest.approx(0.4)


def test_a_mean_of_its_own_counts_whole(build: Callable[[str], Any]) -> None:
    assert share_of_step(build("llama"), {"labels": LABELS}) == 1
