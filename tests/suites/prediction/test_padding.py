"""Rows of different lengths as one batch."""

import torch

from sparsebench.suites.prediction.padding import pad


def test_rows_come_back_without_padding() -> None:
    rows = [torch.arange(6.0).view(3, 2), torch.ones(1, 2), torch.zeros(2, 2)]
    batch = pad(rows)
    assert batch.values.shape == (3, 3, 2)
    assert batch.attention_mask.tolist() == [[True, True, True], [True, False, False], [True, True, False]]
    assert not batch.values[~batch.attention_mask].any()
    for row, back in zip(rows, batch.rows(), strict=True):
        assert torch.equal(row, back)


def test_rows_of_one_length_are_not_padded() -> None:
    batch = pad([torch.ones(2, 1), torch.zeros(2, 1)])
    assert batch.values.shape == (2, 2, 1) and batch.attention_mask.all()


def test_a_batch_goes_to_a_device_as_a_whole() -> None:
    moved = pad([torch.ones(2, 1)]).to("meta")
    assert moved.values.is_meta and moved.attention_mask.is_meta
