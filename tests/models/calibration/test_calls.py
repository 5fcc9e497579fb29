from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.calibration.calls import batch_list, batch_mask, call_model
from sparsebench.models.errors import ModelError


class WithoutLabels(nn.Module):
    def forward(self, x: Tensor, scale: float = 1.0) -> Tensor:
        return x * scale


class WithLabels(nn.Module):
    def forward(self, x: Tensor, labels: Any = None) -> Any:
        return x, labels


def test_mappings_are_keywords_and_anything_else_is_the_one_argument() -> None:
    x = torch.ones(2)
    assert call_model(WithoutLabels(), x).tolist() == [1, 1]
    assert call_model(WithoutLabels(), {"x": x, "scale": 3.0}).tolist() == [3, 3]


def test_labels_go_to_models_that_take_them() -> None:
    batch = {"x": torch.ones(1), "labels": "some"}
    assert call_model(WithoutLabels(), batch).tolist() == [1]
    assert call_model(WithLabels(), batch)[1] == "some"
    assert "labels" in batch


def test_the_mask_of_a_batch() -> None:
    mask = torch.ones(1, 2)
    assert batch_mask({"attention_mask": mask}) is mask and batch_mask(SimpleNamespace(attention_mask=mask)) is mask
    assert batch_mask({"input_ids": mask}) is None and batch_mask(mask) is None


@pytest.mark.parametrize("given", [None, {"input_ids": 1}, torch.ones(2, 3), "text", 3, []])
def test_what_is_no_collection_of_batches_is_refused(given: Any) -> None:
    with pytest.raises(ModelError, match="pass a"):
        batch_list(given)
    assert batch_list(iter([{"input_ids": 1}])) == [{"input_ids": 1}]
