"""What every body of a text task has to do, whatever the network inside."""

import copy

import torch
from torch import Tensor

from sparsebench.suites.llm.encoders.bert import Padded, TextBody

TEXTS = ["a", "some text", ("first", "and second"), "x" * 500]


@torch.no_grad()
def check_stages(body: TextBody) -> None:
    """They are the forward pass, and what any of them gives can be taken apart and joined in another order."""
    items = body.encode(TEXTS)
    expected = body(body.collate(items))
    for cut in range(len(body.stages()) + 1):
        result: Padded | Tensor = body.collate(items)
        for stage in body.stages()[:cut]:
            result = stage(result)
        parts = body.split(result)
        assert len(parts) == len(TEXTS)
        if cut < len(body.stages()):
            assert [len(part) for part in parts] == [len(item) for item in items]
        order = [2, 0, 3, 1]
        result = body.join([parts[index] for index in order])
        for stage in body.stages()[cut:]:
            result = stage(result)
        assert isinstance(result, Tensor) and torch.allclose(result, expected[order], atol=1e-5)


def check_training_and_copies(body: TextBody) -> None:
    """Training has no dropout, and copies share the tokenizer."""
    batch = body.collate(body.encode(TEXTS))
    body.train()
    assert torch.equal(body(batch), body(batch))
    assert copy.deepcopy(body).tokenize is body.tokenize
