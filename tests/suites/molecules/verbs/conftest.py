"""A small file of molecules, and a GraphsGPT in a folder that knows no chemistry and is quick."""

from pathlib import Path

import pytest
import torch

from sparsebench.models import save
from sparsebench.models.graphsgpt import GraphsGPT, GraphsGPTConfig, Vocabulary

LINES = ["CCO", "C1CC", "", "C[C@H](N)C(=O)O", "CN", "O", "c1ccccc1", "CCCC", "CF"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    file = tmp_path / "mine.csv"
    file.write_text("id,SMILES\n" + "".join(f"{row},{text}\n" for row, text in enumerate(LINES)))
    return file


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = GraphsGPTConfig.of(
        Vocabulary.improved(),
        num_words=2,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        properties={"logp": (2.0, 1.0)},
    )
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("graphsgpt") / "model"
    save(GraphsGPT(config), folder)
    return folder
