"""A head on the first word: its formula, folders, and what transforms see."""

from pathlib import Path

import torch

from sparsebench.models import load, save
from sparsebench.models.anatomy import describe
from sparsebench.models.graphsgpt import GraphsGPTConfig, GraphsGPTForSequenceClassification

from ..model_cases import batch, small


def headed() -> GraphsGPTForSequenceClassification:
    fields = small().config.to_dict() | {"num_labels": 3, "seed": 1}
    return GraphsGPTForSequenceClassification(GraphsGPTConfig(**fields)).eval()


@torch.no_grad()
def test_formula_and_folder(tmp_path: Path) -> None:
    model, tokens = headed(), batch()
    head = model.molecule_head
    first = model.encoder(tokens)[:, 0]
    expected = head.out_proj(torch.tanh(head.dense(first)))
    logits = model(tokens).logits
    assert logits.shape == (len(tokens.tokens), 3)
    torch.testing.assert_close(logits, expected)
    save(model, tmp_path / "headed")
    assert torch.equal(load(tmp_path / "headed")(tokens).logits, logits)


def test_transforms_see_the_encoder_and_the_head() -> None:
    model = headed()
    anatomy = describe(model)
    assert len(anatomy.blocks) == len(model.encoder.layers)
    assert anatomy.head is not None and anatomy.head.get() is model.molecule_head.out_proj
    assert {site.path for site in anatomy.outside} == {"decoder", "heads"}
