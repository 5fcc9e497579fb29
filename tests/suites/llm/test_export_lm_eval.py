"""An exported checkpoint is a model like any other to lm-eval's `hf`, by its path."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from transformers import AutoModelForCausalLM

from sparsebench.models import load, save
from sparsebench.models.moe import MoEConfig, convert, export

PAIRS = [
    ("The capital of France is", " Paris"),
    ("The capital of France is", " seventeen"),
    ("Water is made of hydrogen and", " oxygen"),
    ("", "Once upon a time"),
]


def scores(model: HFLM) -> list[tuple[float, bool]]:
    kind: Any = "loglikelihood"
    requests = [Instance(kind, {}, pair, index) for index, pair in enumerate(PAIRS)]
    return model.loglikelihood(requests, disable_tqdm=True)


@pytest.mark.data
@pytest.mark.parametrize(("shared", "name"), [(0, "MixtralForCausalLM"), (2, "GraniteMoeSharedForCausalLM")])
def test_converted_smollm2_scores_alike_in_every_form(tmp_path: Path, shared: int, name: str) -> None:
    from sparsebench.suites.llm.backbones import smollm2_135m_instruct

    lm = smollm2_135m_instruct.load(torch.Generator())
    model = convert(lm.model, MoEConfig(num_experts=8, num_shared=shared, top_k=6 - shared))
    assert export(model, tmp_path / "stock", tokenizer=lm.tokenizer) == name
    save(model, tmp_path / "own")

    expected = scores(HFLM(pretrained=model, tokenizer=lm.tokenizer, device="cpu", batch_size=2))
    own: Any = load(tmp_path / "own")
    stock = scores(HFLM(pretrained=str(tmp_path / "stock"), device="cpu", dtype="float32", batch_size=2))
    assert scores(HFLM(pretrained=own, tokenizer=lm.tokenizer, device="cpu", batch_size=2)) == expected
    assert [greedy for _, greedy in stock] == [greedy for _, greedy in expected]
    assert [score for score, _ in stock] == pytest.approx([score for score, _ in expected], abs=1e-3)
    assert len({round(score, 2) for score, _ in expected}) == len(PAIRS)

    prompt = lm.tokenizer("The history of science is", return_tensors="pt").input_ids
    theirs: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "stock")
    ours, stock_text, own_text = (
        each.generate(prompt, max_new_tokens=12, do_sample=False) for each in (model, theirs, own)
    )
    assert torch.equal(ours, stock_text)
    assert torch.equal(ours, own_text)


@pytest.mark.data
def test_exported_smollm2_is_the_same_function_on_1000_tokens(tmp_path: Path) -> None:
    """In float64: in float32 two ways to compute the attention of dense SmolLM2 already differ by 5e-4."""
    from sparsebench.suites.llm.backbones import smollm2_135m_instruct

    lm = smollm2_135m_instruct.load(torch.Generator())
    readme = Path(__file__).parents[3] / "README.md"
    ids = lm.tokenizer(readme.read_text(encoding="utf-8"), return_tensors="pt", truncation=True, max_length=1000)
    tokens = ids.input_ids.view(4, 250)
    model = convert(lm.model, MoEConfig(num_experts=8, top_k=3)).double()
    export(model, tmp_path / "stock")
    stock = AutoModelForCausalLM.from_pretrained(
        tmp_path / "stock", dtype=torch.float64, experts_implementation="eager"
    )
    with torch.no_grad():
        error = (model(tokens).logits - stock(tokens).logits).abs().amax(-1)
    assert error.median() < 1e-4
    # The router's input is normed in float32: a token at a tie of two experts may go to either, and later ones see it.
    assert (error < 1e-3).float().mean() > 0.7
