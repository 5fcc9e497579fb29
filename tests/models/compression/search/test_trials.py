"""Changed copies of blocks: the model stays as it is, and rounded weights are those of the quantiser."""

import pytest
import torch

from sparsebench.models.anatomy import describe
from sparsebench.models.calibration.by_block import by_block
from sparsebench.models.calibration.mixture_statistics import mixture_statistics
from sparsebench.models.compression.quantisation import Grid, PackedTensor, QuantiseConfig, quantise
from sparsebench.models.compression.search.options import Option
from sparsebench.models.compression.search.trials import Ranked, changed_block, placed, rounded_weights
from sparsebench.models.compression.trimming.experts.mixtures import mixtures_of
from sparsebench.models.compression.trimming.experts.scores import expert_scores

from ..quantisation.models import fingerprints
from ..slimming.mixtures import FUSED, batches, mixture, output


def ranked(name: str, model: torch.nn.Module) -> Ranked:
    """The last mixture."""
    seen = mixture_statistics(model, batches(name), moments=True)
    return Ranked.of(mixtures_of(model)[-1], seen[-1], expert_scores(seen)[-1], widths=True)


@pytest.mark.parametrize("name", FUSED)
def test_a_copy_changes_and_the_model_does_not(name: str) -> None:
    model = mixture(name)
    one = ranked(name, model)
    before = fingerprints(model)
    number = one.mixture.experts.num_experts
    config = vars(model.config).copy() if hasattr(model, "config") else {}
    made = changed_block(model, one, Option(2, 8))
    unchanged = changed_block(model, one, Option(number, one.mixture.mlp.hidden))
    reference = output(model, batches(name)[0])
    with placed(one.mixture.block.site, made):
        mlp = describe(model).blocks[one.mixture.block.index].mlp
        assert mlp is not None and mlp.experts is not None
        assert mlp.experts.num_experts == 2 and mlp.experts.weights(1).up.shape[0] <= 8
        assert not torch.equal(output(model, batches(name)[0]), reference)
    with placed(one.mixture.block.site, unchanged):
        assert torch.equal(output(model, batches(name)[0]), reference)
    assert fingerprints(model) == before and (not config or vars(model.config) == config)
    assert one.mixture.experts.num_experts == number


@pytest.mark.parametrize("method", ["rtn", "gptq"])
def test_rounded_weights_are_those_of_the_quantiser(method: str) -> None:
    model = mixture("mixtral")
    before = fingerprints(model)
    config = QuantiseConfig(method=method, grid=Grid(bits=3, group_size=16))  # type: ignore[arg-type]
    for step in by_block(model, batches("mixtral"), [0]):
        found = rounded_weights(step, model, config)
    assert fingerprints(model) == before and not any(isinstance(value, PackedTensor) for value in model.parameters())
    quantise(model, config, batches("mixtral"))
    assert sorted(found) == [f"model.layers.0.mlp.experts.{name}" for name in ("down_proj", "gate_up_proj")]
    for path, value in found.items():
        assert torch.equal(value, model.get_parameter(path) + 0)
