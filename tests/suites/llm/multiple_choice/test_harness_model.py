"""The harness's model with shared prefixes answers as the harness's own."""

import pytest
import torch

from sparsebench.suites.llm.language.task import CausalLM
from sparsebench.suites.llm.multiple_choice.harness_model import HFLM, PackedLM


def test_log_likelihoods_are_those_of_the_harness(lm: CausalLM) -> None:
    contexts = ([5, 6, 7], [9])
    requests = [(("", ""), context, ending) for context in contexts for ending in ([11], [12, 13], [14, 15, 16, 17])]
    ours = PackedLM(pretrained=lm.model, tokenizer=lm.tokenizer)._loglikelihood_tokens(requests)
    plain = HFLM(pretrained=lm.model, tokenizer=lm.tokenizer)._loglikelihood_tokens(requests, disable_tqdm=True)
    assert [greedy for _, greedy in ours] == [greedy for _, greedy in plain]
    for (value, _), (expected, _) in zip(ours, plain, strict=True):
        assert value == pytest.approx(expected, abs=1e-3)


def test_what_greedy_decoding_gives_is_told(lm: CausalLM) -> None:
    context = [5, 6, 7]
    with torch.inference_mode():
        best = int(lm.model(input_ids=torch.tensor([context])).logits[0, -1].argmax())
    model = PackedLM(pretrained=lm.model, tokenizer=lm.tokenizer)
    answers = model._loglikelihood_tokens([(("", ""), context, [best]), (("", ""), context, [(best + 1) % 250])])
    assert [greedy for _, greedy in answers] == [True, False]
    assert answers[0][0] > answers[1][0]
