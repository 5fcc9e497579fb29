"""What is written at the end."""

import json
from collections.abc import Callable
from pathlib import Path

from sparsebench.models.graphsgpt import GraphsGPT, GraphsGPTPipeline
from sparsebench.suites.molecules.pretraining.batches import Batches
from sparsebench.suites.molecules.pretraining.card import write_model
from sparsebench.suites.molecules.pretraining.corpus import Corpus
from sparsebench.suites.molecules.pretraining.loop import Settings, pretrain


def test_what_is_written_can_be_used(
    corpus: Corpus,
    more: Corpus,
    tmp_path: Path,
    make_batches: Callable[..., Batches],
    make_model: Callable[[], GraphsGPT],
) -> None:
    batches = make_batches(more=more)
    trained = pretrain(make_model(), batches, Settings(steps=2, batch_size=4), tmp_path)
    write_model(tmp_path, trained, Settings(steps=2), batches, ["CCO", "CCN"], {"a.smi": ["C"] * 3})
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["molecules"]["of other kinds"] == 6 and card["core seconds"] == round(trained.core_seconds)
    assert card["exact reconstruction elsewhere"]["a.smi"]["molecules"] == 3
    assert (
        set(card["exact reconstruction"]) == {"exact K=1", "exact K=2", "exact K=4"} and card["held-out molecules"] == 2
    )
    assert card["sampled without a condition"]["valid, constrained"] == 1.0
    pipe = GraphsGPTPipeline.from_pretrained(tmp_path)
    assert len(pipe.generate(3, properties={"qed": 0.45})) == 3
