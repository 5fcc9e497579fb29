"""GraphsGPTs in folders of the user's as backbones."""

from pathlib import Path

import pytest
import torch

from sparsebench.models import save
from sparsebench.models.moe import MoEConfig, convert
from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.molecules.backbones import graph2seq_folder, graphsgpt_folder, tiny_generator
from sparsebench.suites.molecules.features.graph2seq import Graph2SeqBody
from sparsebench.suites.molecules.folder import load_folder


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_a_saved_model_comes_back_as_both_backbones(tmp_path: Path, generator: torch.Generator) -> None:
    model = tiny_generator.load(generator)
    save(model, tmp_path / "model")
    again = graphsgpt_folder.load(generator, str(tmp_path / "model"))
    for name, weight in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], weight), name
    body = graph2seq_folder.load(generator, str(tmp_path / "model"))
    assert isinstance(body, Graph2SeqBody) and body.generator is not None


def test_what_is_no_such_folder_is_refused(tmp_path: Path, generator: torch.Generator) -> None:
    for argument in (None, str(tmp_path / "none")):
        with pytest.raises(ValueError, match="needs a folder that `sparsebench import` wrote"):
            load_folder("graphsgpt_folder", argument)
    model = tiny.load(generator).model
    convert(model, MoEConfig(num_experts=4, top_k=2))
    save(model, tmp_path / "llm")
    with pytest.raises(ValueError, match="needs a GraphsGPT"):
        load_folder("graphsgpt_folder", str(tmp_path / "llm"))
