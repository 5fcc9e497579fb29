"""Folders by onnxruntime: the graph that torch makes of the stock model, all experts in batched products."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

torch.set_num_threads(1)


class Logits(nn.Module):
    """A model without its cache."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor) -> Tensor:
        return self.model(input_ids=ids, use_cache=False).logits


def answer(folder: Path, ids: list[int], new: int) -> list[dict[int, float]]:
    """Of each new token the log-probabilities of the likeliest ones."""
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", experts_implementation="batched_mm"
    )
    length = torch.export.Dim("length", min=2, max=256)
    program = torch.onnx.export(
        Logits(model.eval()), (torch.tensor([ids]),), dynamo=True, dynamic_shapes={"ids": {1: length}}, verbose=False
    )
    assert program is not None
    file = folder.with_suffix(".onnx")
    program.save(file)
    session = onnxruntime.InferenceSession(file)
    steps = []
    given = list(ids)
    for _ in range(new):
        logits = session.run(None, {session.get_inputs()[0].name: np.array([given])})[0][0, -1]
        found = torch.from_numpy(logits).log_softmax(-1).topk(20)
        steps.append(dict(zip(found.indices.tolist(), found.values.tolist(), strict=True)))
        given.append(int(found.indices[0]))
    file.unlink()
    return steps
