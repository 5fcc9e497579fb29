"""The model that is asked for, and what is told of it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sparsebench.data.own.molecule_files import MoleculePart
from sparsebench.models import load
from sparsebench.models.errors import ModelError
from sparsebench.suites.molecules.verbs.common import pipeline_of, statuses, weights_digest


def test_the_packaged_model_and_folders(model_folder: Path, tmp_path: Path) -> None:
    assert pipeline_of(None, 7).model.config.num_words == 8
    for folder in (tmp_path / "none", tmp_path):
        with pytest.raises(ModelError):
            pipeline_of(folder, 7)
    model = pipeline_of(model_folder, 7).model
    same = weights_digest(model)
    assert weights_digest(load(model_folder)) == same  # type: ignore[arg-type]
    with torch.no_grad():
        next(model.parameters()).view(-1)[0].add_(1)
    assert weights_digest(model) != same


def test_a_broken_record_is_unreadable() -> None:
    part = MoleculePart(("C", ""), {1: "why"})
    assert statuses(part, np.array([0, 3]), ("", "no atoms")) == [("ok", ""), ("unreadable", "why")]
