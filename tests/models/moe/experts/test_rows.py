import threading

import pytest
import torch

from sparsebench.models.moe.experts import rows
from sparsebench.models.moe.experts.rows import STEP, padded, pieces, products, scratch


def test_one_product_for_each_expert() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(5, 3, generator=generator)
    weights = torch.randn(3, 2, 3, generator=generator)
    out = torch.full((5, 2), torch.nan)
    products(x, [2, 0, 3], weights, out)
    torch.testing.assert_close(out, torch.cat((x[:2] @ weights[0].T, x[2:] @ weights[2].T)))


def test_memory_is_kept_by_name_and_dtype_and_grows() -> None:
    like = torch.zeros(1)
    first = scratch("test", (4, 8), like)
    assert first.shape == (4, 8)
    assert scratch("test", (2, 8), like).data_ptr() == first.data_ptr()
    assert scratch("test other", (4, 8), like).data_ptr() != first.data_ptr()
    assert scratch("test", (4, 8), like.bfloat16()).dtype == torch.bfloat16
    assert scratch("test", (400, 8), like).shape == (400, 8)


def test_large_memory_is_not_kept(monkeypatch) -> None:
    monkeypatch.setattr(rows, "KEPT_BYTES", 64)
    like = torch.zeros(1)
    assert scratch("test large", (17, 1), like).shape == (17, 1)
    assert not any("test large" in key for key in rows._scratch.__dict__)
    scratch("test large", (16, 1), like)
    assert any("test large" in key for key in rows._scratch.__dict__)


def test_memory_made_in_inference_mode_serves_training_later() -> None:
    with torch.inference_mode():
        made = scratch("test inference", (2, 2), torch.zeros(1))
    assert not made.is_inference()


def test_threads_have_memory_of_their_own() -> None:
    addresses = []

    def take() -> None:
        addresses.append(scratch("test threads", (4, 8), torch.zeros(1)).data_ptr())

    take()
    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    assert addresses[0] != addresses[1]


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 128, 200])
def test_pieces_are_the_rows_in_shapes_that_come_again(count: int) -> None:
    rows = torch.arange(count * 2, dtype=torch.float32).view(count, 2)
    assert [len(piece) for piece in pieces(rows)] == ([count] if count else [])
    found = pieces(rows.bfloat16())
    assert sum(len(piece) for piece in found) == count
    assert all(0 < len(piece) < STEP or len(piece) % STEP == 0 for piece in found)
    if count:
        assert torch.equal(torch.cat(found), rows.bfloat16())


def test_products_of_pieces_are_those_of_all_rows() -> None:
    draw = torch.Generator().manual_seed(0)
    counts = [130, 0, 64, 7]
    rows = torch.randn(sum(counts), 16, generator=draw).bfloat16()
    weights = torch.randn(4, 8, 16, generator=draw).bfloat16()
    out = torch.full((sum(counts), 8), torch.nan).bfloat16()
    products(rows, counts, weights, out)
    exact = [part.double() @ weight.double().T for part, weight in zip(rows.split(counts), weights, strict=True)]
    torch.testing.assert_close(out.double(), torch.cat(exact), rtol=8e-3, atol=2e-2)


@pytest.mark.parametrize(("count", "expected"), [(0, 0), (STEP - 1, STEP - 1), (STEP, STEP), (STEP + 1, 2 * STEP)])
def test_rows_are_filled_up_with_zeros(count: int, expected: int) -> None:
    rows_RD = torch.ones(count, 3, requires_grad=True)
    filled_RD = padded(rows_RD)
    assert filled_RD.shape == (expected, 3)
    assert torch.equal(filled_RD[:count], rows_RD) and not filled_RD[count:].any()
    filled_RD.sum().backward()
    assert torch.equal(rows_RD.grad, torch.ones(count, 3))
