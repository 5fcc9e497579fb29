"""Every export in every engine: the same text, and log-probabilities up to rounding; what `export` refuses for an
engine, that engine does compute otherwise, or not at all.

Optional but for transformers: `pip install` what a skipped test names, here or for an interpreter in `ENGINES_PYTHON`.
`python -m tests.models.foreign_engines.matrix` writes what is found into `models/ENGINES.md`.
"""

import json
from pathlib import Path

import pytest
import torch

from .engines import ENGINES, NEW, Answer, compared, interpreter, measured


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("engine", ENGINES)
def test_exports_compute_what_the_models_do(engine: str, tmp_path: Path, subtests: pytest.Subtests) -> None:
    if interpreter(engine) is None:
        pytest.skip(f"needs {', '.join(ENGINES[engine].packages)}")
    architectures, answers = measured(engine, tmp_path)
    assert len(architectures) >= min(len(ENGINES[engine].rows), 25)
    for name, answer in answers.items():
        with subtests.test(name=name):
            assert answer.exact(engine) == (name in architectures), answer


def test_an_answer_is_compared_token_by_token(tmp_path: Path) -> None:
    ours = torch.randn(NEW, 30, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    torch.save(ours, tmp_path / "ours.pt")
    steps = [dict(enumerate(row.tolist())) for row in ours]

    def answer() -> Answer:
        (tmp_path / "answer.json").write_text(json.dumps({"steps": steps}))
        return compared(tmp_path)

    assert answer() == Answer(NEW, 0.0) and answer().exact("transformers")
    steps[3][int(ours[3].argmax())] += 0.25
    assert answer().same == NEW and answer().difference == pytest.approx(0.25) and not answer().exact("transformers")
    steps[4][int(ours[4].argmax())] = float("nan")
    assert answer().difference == float("inf")
    steps[2][int(ours[2].argmin())] = 1.0
    assert answer().same == 2 and not answer().exact("transformers")
    (tmp_path / "answer.json").write_text(json.dumps({"error": "ValueError: no"}))
    assert compared(tmp_path).error == "ValueError: no" and not compared(tmp_path).exact("transformers")
