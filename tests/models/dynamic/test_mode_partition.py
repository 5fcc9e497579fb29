import pytest
import torch

from sparsebench.models.dynamic import ModePartition
from sparsebench.models.errors import ModelError

MASK = torch.tensor([[True, False], [True, True]])


def test_scales_start_at_one_and_sum_to_two() -> None:
    partition = ModePartition(MASK, torch.zeros(2, 2))
    assert partition.lambda_dynamic.item() == partition.lambda_static.item() == 1
    optimizer = torch.optim.SGD(partition.parameters(), lr=0.5, momentum=0.9, weight_decay=0.1)
    for _ in range(20):
        optimizer.zero_grad()
        (partition.used_weight(torch.ones(2, 2)) - 3).square().sum().backward()
        optimizer.step()
        assert (partition.lambda_dynamic + partition.lambda_static).item() == pytest.approx(2, abs=1e-6)
    assert partition.lambda_dynamic.item() > 1.5
    assert partition.static[MASK].abs().sum() == 0, "static entries under the mask have no gradient"


def test_each_entry_has_one_mode() -> None:
    partition = ModePartition(MASK, torch.full((2, 2), 5.0), scale="none")
    assert partition.used_weight(torch.full((2, 2), 7.0)).tolist() == [[7, 5], [7, 7]]
    assert partition.ratio == 0.75
    parts = partition.dynamic_factor() + partition.static_part() / 5
    assert parts.tolist() == [[1, 1], [1, 1]], "disjoint and covering"


@pytest.mark.parametrize(
    ("scale", "dynamic", "static"),
    [("both", 1.5, 0.5), ("static", 1, 0.5), ("dynamic", 1.5, 1), ("none", 1, 1), ("pruned", 1, 0)],
)
def test_what_each_scale_leaves_out(scale: str, dynamic: float, static: float) -> None:
    partition = ModePartition(MASK, torch.zeros(2, 2), scale)  # type: ignore[arg-type]
    with torch.no_grad():
        partition.phi.fill_(torch.logit(torch.tensor(0.75)))
    assert partition.lambda_dynamic.item() == pytest.approx(dynamic)
    assert partition.lambda_static.item() == pytest.approx(static)
    assert partition.phi.requires_grad == (scale in ("both", "static", "dynamic"))


def test_structure_follows_the_mask() -> None:
    partition = ModePartition(MASK, torch.zeros(2, 2))
    assert partition.layout().structure == "weight"
    partition.set_mask(torch.tensor([[True, True], [False, False]]))
    layout = partition.layout()
    assert (layout.structure, layout.dynamic.tolist(), layout.static.tolist()) == ("row", [0], [1])
    assert partition.layout() is layout, "looked up once"
    partition.mask.copy_(torch.tensor([[True, False], [True, False]]))
    assert partition.layout().structure == "channel" and partition.layout().static.tolist() == [1]
    partition.load_state_dict(ModePartition(torch.ones(2, 2) == 1, torch.zeros(2, 2)).state_dict())
    assert partition.layout().structure == "dynamic"
    partition.set_mask(torch.zeros(2, 2) == 1)
    assert partition.layout().structure == "static"
    with torch.inference_mode():
        made = ModePartition(MASK, torch.zeros(2, 2))
        assert made.layout().structure == "weight"
    vector = ModePartition(torch.tensor([True, False]), torch.zeros(2))
    assert vector.layout().dynamic.tolist() == [0]


def test_masks_that_come_one_after_the_other_into_the_same_memory_are_told_apart() -> None:
    """As by `load_state_dict(..., assign=True)` of one checkpoint after another."""
    for size in (16, 300):
        partition = ModePartition(torch.ones(size, size) == 1, torch.zeros(size, size))
        for step in range(20):
            wanted = (torch.arange(size) % 2 == step % 2)[:, None].repeat(1, size)
            partition.mask = torch.empty(0, dtype=torch.bool)
            partition.mask = wanted.clone()
            assert partition.layout().dynamic[0] == step % 2


def test_what_was_looked_up_in_inference_mode_can_be_trained_with() -> None:
    partition = ModePartition(torch.tensor([[True, True], [False, False]]), torch.zeros(2, 2))
    with torch.inference_mode():
        partition.layout()
    partition.static[partition.layout().static].sum().backward()
    assert partition.static.grad is not None and partition.static.grad.tolist() == [[0, 0], [1, 1]]


def test_relaxed_mask_has_the_gradient_of_a_switch() -> None:
    partition = ModePartition(MASK, torch.tensor([[1.0, 2], [3, 4]]))
    dynamic = torch.tensor([[5.0, 6], [7, 8]])
    with partition.relaxed() as mask:
        (gradient,) = torch.autograd.grad(partition.used_weight(dynamic).sum(), mask)
        assert partition.is_relaxed
    assert gradient.tolist() == [[4, 4], [4, 4]]
    assert not partition.is_relaxed


def test_what_cannot_be_a_partition() -> None:
    with pytest.raises(ModelError, match=r"boolean, not torch.float32"):
        ModePartition(MASK.float(), torch.zeros(2, 2))
    with pytest.raises(ModelError, match=r"mask \(2, 2\) and static weight \(2, 3\)"):
        ModePartition(MASK, torch.zeros(2, 3))
    with pytest.raises(ModelError, match="did you mean 'both'"):
        ModePartition(MASK, torch.zeros(2, 2), "bot")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"mask of shape \(2, 2\) is needed, not torch.bool of \(2, 1\)"):
        ModePartition(MASK, torch.zeros(2, 2)).set_mask(MASK[:, :1])
