"""Operations and bytes as one reckons them by hand."""

import pytest

from .roofline import CARDS, Experts, packed_bytes, padding, predicted, work

ONE = Experts(tokens=1, width=128, hidden=64, experts=8, top_k=2)
MANY = Experts(tokens=512, width=128, hidden=64, experts=8, top_k=2)


def test_one_token_reads_the_chosen_experts_and_computes_almost_nothing() -> None:
    operations, moved = work(ONE, 2)
    assert operations == 2 * 2 * (3 * 128 * 64)
    assert moved == 2 * (2 * 3 * 128 * 64 + 2 * (2 * 128 + 3 * 64))
    assert packed_bytes(ONE) == pytest.approx(moved - 2 * (3 * 128 * 64) * 2 * (1 - 0.25 - 1 / 64))
    assert padding(ONE) == 64  # one row of a tile of 64
    assert padding(MANY) == 1  # 128 rows for each expert: whole tiles


def test_a_row_for_each_card_type_and_shape() -> None:
    rows = list(predicted())
    assert {row["card"] for row in rows} == {card.name for card in CARDS}
    slow = [row for row in rows if row["type"] == "fp32" and row["tokens"] == 16384]
    assert all(row["ours µs"] >= row["grouped_mm µs"] > 0 for row in rows)
    assert all(
        row["grouped_mm µs"] == pytest.approx(row["GFLOP"] / {"H": 0.067, "A": 0.0195}[row["card"][0]]) for row in slow
    )
