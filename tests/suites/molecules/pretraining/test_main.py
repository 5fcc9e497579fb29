"""Training that goes on from a trained model."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
import typer
from typer.testing import CliRunner

from sparsebench.models.graphsgpt import GraphsGPT
from sparsebench.suites.molecules.pretraining.__main__ import main, trained
from sparsebench.suites.molecules.pretraining.batches import Batches
from sparsebench.suites.molecules.pretraining.card import write_model
from sparsebench.suites.molecules.pretraining.corpus import Corpus
from sparsebench.suites.molecules.pretraining.loop import Pretrained, Settings


def test_a_trained_model_goes_on_with_autoregressive_heads(
    corpus: Corpus, tmp_path: Path, make_batches: Callable[..., Batches], make_model: Callable[[], GraphsGPT]
) -> None:
    before = make_model()
    before.save_pretrained(tmp_path / "before")
    (tmp_path / "before" / "card.json").write_text('{"seconds": 7}')
    after = trained(tmp_path / "before")
    batch = corpus.molecules.batch([0, 1, 2])
    assert after.config.autoregressive_heads and after.config.property_names == before.config.property_names
    torch.testing.assert_close(after(batch).loss, before(batch).loss)
    done = Pretrained(after, 1.0, 1.0)
    write_model(tmp_path / "after", done, Settings(steps=1), make_batches(), [], {}, tmp_path / "before")
    assert json.loads((tmp_path / "after" / "card.json").read_text())["went on from"] == {"seconds": 7}


def test_other_molecules_in_the_folder_end_in_one_message(corpus: Corpus, tmp_path: Path) -> None:
    shutil.copytree(corpus.molecules.folder.parent, tmp_path / "corpus")
    others = tmp_path / "others.smi"
    others.write_text("CCO\nCCN\n")
    app = typer.Typer()
    app.command()(main)
    ended = CliRunner().invoke(app, [str(tmp_path), "--smiles", str(others)])
    text = " ".join(ended.output.replace("\u2502", " ").split())
    assert ended.exit_code == 2 and "was prepared from 30 strings" in text and "Traceback" not in text


def test_a_curve_needs_moses(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(main)
    ended = CliRunner().invoke(app, [str(tmp_path), "--smiles", "others.smi", "--points", "3"])
    assert ended.exit_code == 2 and "a curve is measured on MOSES" in " ".join(ended.output.split())
