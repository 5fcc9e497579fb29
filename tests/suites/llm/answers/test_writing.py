"""A model answers greedily, turn by turn, and the command writes the file."""

from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from sparsebench.suites.llm.answers.__main__ import app
from sparsebench.suites.llm.answers.writing import answer, converse
from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.llm.language import CausalLM
from sparsebench.suites.llm.training.chat import prompt_of


@pytest.fixture(scope="module")
def lm() -> CausalLM:
    return tiny.load(torch.Generator().manual_seed(0))


def greedy(lm: CausalLM, prompt: str, count: int) -> str:
    """The most likely token after another, by one forward pass each."""
    ids = lm.tokenizer(prompt, add_special_tokens=False)["input_ids"]
    start = len(ids)
    model: Any = lm.model
    for _ in range(count):
        with torch.no_grad():
            best = int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
        if best == lm.tokenizer.eos_token_id:
            break
        ids.append(best)
    return lm.tokenizer.decode(ids[start:], skip_special_tokens=True).partition("\n\n")[0].strip()


def test_an_answer_is_the_most_likely_one(lm: CausalLM) -> None:
    messages = [("user", "What is 2 + 2?")]
    assert answer(lm, messages, 6) == greedy(lm, prompt_of(messages, lm.tokenizer), 6)


def test_a_turn_is_asked_after_the_answer_before(lm: CausalLM) -> None:
    first, second = converse(lm, ["Name a bird.", "Another."], 5)
    messages = [("user", "Name a bird."), ("assistant", first), ("user", "Another.")]
    assert second == greedy(lm, prompt_of(messages, lm.tokenizer), 5)


def test_prompts_follow_the_template_or_are_plain(lm: CausalLM) -> None:
    assert prompt_of([("user", "a"), ("assistant", "b")], lm.tokenizer) == "User: a\n\nAssistant: b\n\nAssistant:"
    with pytest.raises(ValueError, match="role 'oracle'"):
        prompt_of([("oracle", "a")], lm.tokenizer)


def test_what_cannot_be_answered(lm: CausalLM) -> None:
    with pytest.raises(ValueError, match="without a word"):
        answer(lm, [("user", " ")])
    with pytest.raises(ValueError, match="leaves no room"):
        answer(lm, [("user", "a" * 9000)])


def test_the_command_writes_answers_and_why_there_is_no_verdict(lm: CausalLM, tmp_path: Path) -> None:
    model: Any = lm.model
    model.save_pretrained(tmp_path / "model")
    lm.tokenizer.save_pretrained(tmp_path / "model")
    questions = tmp_path / "q.json"
    questions.write_text('[{"instruction": "Name a bird."}]')
    options = [str(questions), str(tmp_path / "a.json"), "--model", str(tmp_path / "model"), "--most-tokens", "3"]
    done = CliRunner().invoke(app, ["alpaca_eval", *options])
    assert done.exit_code == 0 and "1 answers" in done.output and "verdict n/a" in done.output
    assert (tmp_path / "a.json").is_file() and (tmp_path / "a.verdict.json").is_file()
    done = CliRunner().invoke(app, ["mt_bench", *options])
    assert done.exit_code == 1
