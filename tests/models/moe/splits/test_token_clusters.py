import dataclasses

import pytest
import torch

from sparsebench.models.errors import ModelError
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.splits.token_clusters import document_labels, token_centroids, token_labels

DOCUMENTS = MoEConfig(num_experts=4, split="gradient")
TOKENS = MoEConfig(num_experts=4, split="gradient", clusters="tokens")


def test_tokens_of_a_document_have_one_label(ffn_input) -> None:
    inp = ffn_input(DOCUMENTS)
    label_T = document_labels(inp)
    assert label_T.view(20, 2).unique(dim=1).shape == (20, 1)
    assert sorted(set(label_T.tolist())) == [0, 1, 2, 3]


def test_the_documents_of_all_layers_fall_into_the_same_clusters(ffn_input) -> None:
    inp = ffn_input(DOCUMENTS)
    later_layer = dataclasses.replace(inp, generator=torch.Generator().manual_seed(99))
    assert torch.equal(document_labels(inp), document_labels(later_layer))


def test_too_few_documents_and_none(ffn_input) -> None:
    inp = ffn_input(DOCUMENTS)
    with pytest.raises(ModelError, match=r"as many calibration examples \(3\) as routed experts \(4\)"):
        document_labels(dataclasses.replace(inp, embedding=inp.embedding[:3]))
    with pytest.raises(ModelError, match="pass what calibrate"):
        document_labels(dataclasses.replace(inp, embedding=None))


def test_every_centroid_is_the_nearest_one_of_some_token(ffn_input) -> None:
    inp = ffn_input(TOKENS)
    centroid_ND = token_centroids(inp)
    assert centroid_ND.shape == (4, 12)
    assert sorted(set(torch.cdist(inp.sample.x, centroid_ND).argmin(1).tolist())) == [0, 1, 2, 3]


def test_the_label_is_where_the_router_sends_the_token() -> None:
    x_TD = torch.tensor([[1.0, 0.0], [0.0, 1.0], [3.0, 4.0]], dtype=torch.bfloat16)
    centroid_ND = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    assert token_labels(x_TD, centroid_ND).tolist() == [0, 1, 0]
