"""lm-evaluation-harness's Hugging Face model, with each context computed once for all of its continuations.

The harness scores every (context, continuation) pair by itself, so a question with four answers is read four times;
here they are packed (`prefix_sharing.py`). The log-likelihoods are those of the harness, up to rounding.
"""

from typing import Any

import torch
from lm_eval.models import huggingface

from .prefix_sharing import Pack, Request, packs, token_scores

HFLM: Any = huggingface.HFLM  # the harness's decorator hides its type


class PackedLM(HFLM):
    """HFLM for decoders of transformers that take a 4-D attention mask; it can only score, not generate."""

    def _loglikelihood_tokens(
        self, requests: list[Request], disable_tqdm: bool = False, override_bs: int | None = None
    ) -> list[tuple[float, bool]]:
        """Log-likelihood in nats of each continuation, and whether it is what greedy decoding gives."""
        answers: list[tuple[float, bool]] = [(0.0, False)] * len(requests)
        for pack in packs(requests, self.max_length):
            for (request, _), answer in zip(pack.continuations, self._score(pack), strict=True):
                answers[request] = answer
        return answers

    @torch.inference_mode()
    def _score(self, pack: Pack) -> list[tuple[float, bool]]:
        chosen, greedy = token_scores(self.model, pack)
        lengths = [len(tokens) for _, tokens in pack.continuations]
        answers = []
        for scores, agrees in zip(chosen.split(lengths), greedy.split(lengths), strict=True):
            answers.append((float(scores.sum()), bool(agrees.all())))
        return answers
