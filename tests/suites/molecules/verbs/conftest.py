"""A small file of molecules, and a GraphsGPT in a folder that knows no chemistry and is quick."""

from pathlib import Path

import pytest
import torch

from sparsebench.models import save
from sparsebench.models.graphsgpt import GraphsGPT, GraphsGPTConfig, Vocabulary
from sparsebench.models.graphsgpt.tokens.faithful import collect_bonds

LINES = ["CCO", "C1CC", "", "C[C@H](N)C(=O)O", "CN", "O", "c1ccccc1", "CCCC", "CF"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    file = tmp_path / "mine.csv"
    file.write_text("id,SMILES\n" + "".join(f"{row},{text}\n" for row, text in enumerate(LINES)))
    return file


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(Vocabulary.improved(), tmp_path_factory.mktemp("graphsgpt"))


@pytest.fixture(scope="session")
def published_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a vocabulary as that of the published models: elements and bonds."""
    bonds = collect_bonds(["CCO", "CC(=O)O", "CN", "[2H]C"])
    return saved(Vocabulary.faithful(bonds), tmp_path_factory.mktemp("published"))


def saved(vocabulary: Vocabulary, folder: Path) -> Path:
    config = GraphsGPTConfig.of(
        vocabulary,
        num_words=2,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        properties={"logp": (2.0, 1.0)},
        connection_loss="cross_entropy",  # of which molecules have likelihoods
    )
    torch.manual_seed(0)
    save(GraphsGPT(config), folder / "model")
    return folder / "model"
