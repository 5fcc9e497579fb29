"""Generators that train before they are drawn from: on which molecules, and by which methods."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch

from sparsebench.models.molecules.char_rnn import CharRNN, CharRNNConfig
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import Method
from sparsebench.suites.methods.adapters.sparse_adapter import SparseAdapter
from sparsebench.suites.methods.baselines.full_tuning import FullTuning
from sparsebench.suites.methods.compression.quantise import Quantise
from sparsebench.suites.methods.compression.wanda import Wanda
from sparsebench.suites.methods.dynamic.dynamic_linear import DynamicLinear
from sparsebench.suites.methods.dynamic.pad_net import PadNet
from sparsebench.suites.methods.moe.moe_shared import SharedSplit
from sparsebench.suites.methods.pair.idat import InverseDistillationTuning
from sparsebench.suites.methods.shared.tune import Tune
from sparsebench.suites.molecules.backbones import char_rnn, char_rnn_random, graphsgpt_small_random, tiny_generator
from sparsebench.suites.molecules.generation import moses
from sparsebench.suites.molecules.tasks.moses_generation_trained import MosesGenerationTrained
from sparsebench.suites.molecules.tasks.synthetic_generation_trained import SyntheticGenerationTrained

CHAINS: dict[str, Sequence[Method]] = {
    "SparseAdapter": [SparseAdapter(learning_rate=1e-2)],
    "PAD": [
        DynamicLinear(train="none", experts=2, blocks=1),
        PadNet(ratio=0.3, train="all", warmup_steps=1, learning_rate=1e-2),
    ],
    "iDAT": [InverseDistillationTuning(teacher="tiny_generator", learning_rate=1e-2)],
    "Wanda": [Wanda(parts=("ffn",), train="all", learning_rate=1e-2)],
    "experts of 4 bits": [
        SharedSplit(num_experts=4, num_shared=1, train="none"),
        Tune(learning_rate=1e-2),
        Quantise(method="rtn", bits=4, train="none"),
    ],
}


def context(seed: int = 0, **budget: Any) -> Context:
    given: dict[str, Any] = {"steps": 2, "batch_size": 8, "test_examples": 4, "calibration_examples": 8} | budget
    further = {"tiny_generator": tiny_generator.load}
    return Context(suite="molecules", task="trained", seed=seed, budget=Budget(**given), further=further)


@pytest.mark.parametrize("name", CHAINS)
def test_methods_train_a_generator_and_draw_from_it(name: str) -> None:
    outcome = SyntheticGenerationTrained().run(CHAINS[name], tiny_generator.load, context())
    assert outcome.main_metric == "valid" and outcome.metrics["valid"].value == 1.0
    assert {"Novelty", "copies", "draws per kept"} <= set(outcome.metrics) and len(outcome.examples["smiles"]) == 10
    curve = next(points for curve, points in outcome.curves.items() if curve.endswith("train loss"))
    assert len(curve) == 2 and outcome.details["training molecules"] == {"drawn": 16, "written": 16}
    if name == "Wanda":
        assert {share for _, share in outcome.curves["zeros by block"]} == {0.5}, "zeros stay"


def test_training_is_on_what_is_drawn() -> None:
    """The loss of molecules that training did not see falls where nothing is asked for."""
    task, method = SyntheticGenerationTrained(), FullTuning(learning_rate=1e-2)
    ready = task.setup(tiny_generator.load, context(steps=12))
    model = method.prepare(ready.model, ready.context)
    (pair,) = ready.context.batches()
    before = ready.context.loss(model.eval(), pair).item()
    method.fit(model, ready.data, ready.context)
    assert ready.context.loss(model.eval(), pair).item() < 0.9 * before


def test_rows_of_a_seed_train_on_the_same_molecules_and_no_more_than_they_see() -> None:
    def strings(**fields: Any) -> list[str]:
        return list(SyntheticGenerationTrained().setup(char_rnn.load, context(**fields)).data.train)

    first = strings(steps=5)
    assert len(set(first)) == 40 and first == strings(steps=5) and set(first) != set(strings(seed=1, steps=5))
    assert len(strings(steps=10_000)) == 200 and len(strings(steps=10_000, train_fraction=0.1)) == 20
    assert len(strings(steps=None, epochs=1)) == 200


def test_molecules_that_cannot_be_written_are_counted() -> None:
    def load(generator: torch.Generator) -> CharRNN:
        return CharRNN(CharRNNConfig(characters="CO()=", width=8))

    given = context(steps=25)
    with pytest.warns(UserWarning, match="of 200 training molecules cannot be written"):
        ready = SyntheticGenerationTrained().setup(load, given)
    noted = ready.context.notes["training molecules"]
    assert noted["drawn"] == 200 and 0 < noted["written"] == len(ready.data.train) < 200


def test_scratch_has_the_shape_of_the_packaged_generators() -> None:
    for load, packaged in ((char_rnn_random.load, char_rnn.load), (graphsgpt_small_random.load, None)):
        first, again, other = (load(torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
        weights = [next(iter(model.parameters())) for model in (first, again, other)]
        assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
        assert first.core_seconds is None and not first.training
        if packaged is not None:
            assert first.config.characters == packaged(torch.Generator()).config.characters
        with pytest.raises(ValueError, match="takes no argument"):
            load(torch.Generator(), "3")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """MOSES of fifty molecules, ten of which are kept back."""
    molecules = ["C" * length + "O" for length in range(1, 51)]
    monkeypatch.setattr(moses, "moses", lambda part: molecules)
    monkeypatch.setattr(moses, "VALIDATION", 10)
    cached: tuple[Callable[[], Any], ...] = (moses._training_set, moses._cut_training_set)
    for function in cached:
        function.cache_clear()  # type: ignore[attr-defined]
    yield molecules
    for function in cached:
        function.cache_clear()  # type: ignore[attr-defined]


def test_what_temperatures_are_chosen_on_is_not_trained_on(few: list[str]) -> None:
    task = MosesGenerationTrained()
    part = task.training_part()
    assert len(part) == 40 and not set(part) & set(moses.validation_set()) and list(task.training_set()) == few
    assert {"training data", "reference molecules"} <= task.gives and task.group == "trained generation"
