"""Partners, shares and soft labels of mixed molecules."""

import pytest
import torch

from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt import mixup
from sparsebench.models.graphsgpt.mixup import draw_fractions, mix, mix_labels, neighbours

NAN = float("nan")


def released(words: torch.Tensor) -> torch.Tensor:
    """Second entry of softmax(exp(-z)) over the others, z being the standardised distances."""
    distances = torch.cdist(words.flatten(1), words.flatten(1))
    z = (distances - distances.mean()) / distances.std()
    scores = torch.exp(-z).softmax(1).fill_diagonal_(-1)
    return scores.argsort(dim=1, descending=True)[:, 1]


def test_partners_on_a_line():
    words = torch.tensor([0.0, 1.0, 3.0, 7.0]).view(4, 1, 1)
    assert neighbours(words, rank=1).tolist() == [1, 0, 1, 2]
    assert neighbours(words).tolist() == [2, 2, 0, 1]
    assert neighbours(words, rank=9).tolist() == [3, 3, 3, 0], "with fewer others, the farthest"


def test_partners_are_those_of_the_published_ranking_in_chunks_too(monkeypatch: pytest.MonkeyPatch):
    words = torch.randn(50, 3, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = released(words)
    assert torch.equal(neighbours(words), expected)
    monkeypatch.setattr(mixup, "CHUNK", 7)
    assert torch.equal(neighbours(words), expected)


def test_nobody_is_its_own_partner_even_among_equals():
    assert neighbours(torch.zeros(3, 4), rank=1).tolist() == [1, 0, 0]
    assert neighbours(torch.zeros(2, 4)).tolist() == [1, 0]


def test_too_few():
    with pytest.raises(ModelError, match="needs two molecules"):
        neighbours(torch.zeros(1, 4))
    with pytest.raises(ModelError, match="rank=0"):
        neighbours(torch.zeros(3, 4), rank=0)


def test_mix_is_linear_and_ends_at_both():
    a, b = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(mix(a, b, torch.ones(4)), a) and torch.equal(mix(a, b, torch.zeros(4)), b)
    share = torch.tensor([0.1, 0.2, 0.3, 0.4])
    assert torch.allclose(mix(a, b, share)[2], 0.3 * a[2] + 0.7 * b[2])


def test_a_label_is_missing_where_either_is():
    a, b = torch.tensor([[1.0, NAN], [0.0, 1.0]]), torch.tensor([[0.0, 1.0], [NAN, 1.0]])
    got = mix_labels(a, b, torch.tensor([0.25, 1.0]))
    assert torch.equal(got.isnan(), torch.tensor([[False, True], [True, False]]))
    assert got[0, 0] == 0.25 and got[1, 1] == 1


def test_class_numbers_become_soft():
    got = mix_labels(torch.tensor([0, 1]), torch.tensor([2, 1]), torch.tensor([0.75, 0.5]), classes=3)
    assert got.tolist() == [[0.75, 0, 0.25], [0, 1, 0]]
    with pytest.raises(ModelError, match="classes"):
        mix_labels(torch.tensor([0]), torch.tensor([1]), torch.ones(1))


@pytest.mark.parametrize("dtype", [torch.int8, torch.int32, torch.uint8], ids=str)
def test_whole_numbers_of_any_type_are_classes_and_truth_values_are_values(dtype: torch.dtype):
    """A share in the type of such labels is 0: the partner's labels came out."""
    share = torch.tensor([0.75, 0.5])
    a, b = torch.tensor([0, 1], dtype=dtype), torch.tensor([2, 1], dtype=dtype)
    assert mix_labels(a, b, share, classes=3).tolist() == [[0.75, 0, 0.25], [0, 1, 0]]
    with pytest.raises(ModelError, match="whole numbers are class numbers"):
        mix_labels(a, b, share)
    assert mix_labels(a.bool(), b.bool(), share).tolist() == [0.25, 1]


def test_shares_are_beta_and_come_from_the_generator():
    def draw(alpha: float, seed: int = 0) -> torch.Tensor:
        return draw_fractions(20000, alpha, torch.Generator().manual_seed(seed))

    uniform, peaked = draw(1.0), draw(8.0)
    assert uniform.min() >= 0 and uniform.max() <= 1 and uniform.dtype == torch.float32
    assert float(uniform.var()) == pytest.approx(1 / 12, rel=0.05)
    assert float(peaked.var()) == pytest.approx(1 / (4 * 17), rel=0.05)
    assert torch.equal(uniform, draw(1.0)) and not torch.equal(uniform, draw(1.0, 1))
    with pytest.raises(ModelError, match="alpha=0"):
        draw_fractions(3, 0, torch.Generator())
