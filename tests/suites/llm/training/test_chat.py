"""Conversations as tokens: what the model is asked with, and which tokens are the answer."""

from typing import Any

import pytest

from sparsebench.suites.llm.small_models.byte_tokenizer import END_OF_TEXT, byte_tokenizer
from sparsebench.suites.llm.tasks.synthetic.synthetic_instructions import Question
from sparsebench.suites.llm.training.chat import asked, render
from sparsebench.suites.llm.training.packing import IGNORED

TEMPLATE = (
    "{% for message in messages %}<{{ message.role }}>{{ message.content }}</>\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
ASKED = Question("logic", "syllogisms", (("system", "Be brief."), ("user", "Is é a letter?")), "Yes – it is")


class Templated:
    """The byte tokenizer with a chat template."""

    def __init__(self, template: str | None) -> None:
        self.chat_template = template
        self.eos_token_id = byte_tokenizer().eos_token_id

    def __call__(self, text: str, **options: Any) -> Any:
        return byte_tokenizer()(text, **options)

    def get_chat_template(self) -> str:
        return byte_tokenizer().get_chat_template(self.chat_template)

    def apply_chat_template(self, messages: Any, **options: Any) -> Any:
        return byte_tokenizer().apply_chat_template(messages, **{"chat_template": self.chat_template} | options)


def parts(tokenizer: Any, conversation: Question = ASKED) -> tuple[str, str]:
    """The prompt, and what is learnt."""
    example = render(conversation, tokenizer)
    learnt = [label for label in example.labels if label != IGNORED]
    prompt = [token for token, label in zip(example.ids, example.labels, strict=True) if label == IGNORED]
    assert example.ids == (*prompt, *learnt)
    return byte_tokenizer().decode(prompt), byte_tokenizer().decode(learnt)


def test_by_template() -> None:
    prompt, answer = parts(Templated(TEMPLATE))
    assert prompt == "<system>Be brief.</>\n<user>Is é a letter?</>\n<assistant>"
    assert answer == "Yes – it is</>"
    whole = Templated(TEMPLATE).apply_chat_template(
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Is é a letter?"}],
        tokenize=False,
        add_generation_prompt=True,
    )
    assert whole == prompt


def test_a_template_that_asks_for_the_date_gives_the_same_tokens_on_any_day() -> None:
    """As Llama 3.1's and gpt-oss's do, the second from within a macro of its own."""
    dated = "{%- if strftime_now is defined %}{{ strftime_now('%d %b %Y') }}\n{% endif %}" + TEMPLATE
    assert parts(Templated(dated))[0].startswith("26 Jul 2024\n<system>")
    inside = "{%- macro day() %}{{ strftime_now('%Y-%m-%d') }}{%- endmacro %}\n  {{ day() }}" + TEMPLATE
    assert parts(Templated(inside))[0].startswith("  2024-07-26<system>")


def test_plainly() -> None:
    prompt, answer = parts(Templated(None))
    assert prompt == "System: Be brief.\n\nUser: Is é a letter?\n\nAssistant:"
    assert answer == f" Yes – it is{END_OF_TEXT}"


def test_plainly_without_an_end_of_text() -> None:
    tokenizer = Templated(None)
    tokenizer.eos_token_id = None
    assert parts(tokenizer)[1] == " Yes – it is\n\n"


def test_asked_is_the_prompt_alone_with_what_ends_an_answer() -> None:
    for template, end in ((TEMPLATE, "</>"), (None, END_OF_TEXT)):
        before, ends = asked(ASKED, Templated(template))
        assert byte_tokenizer().decode(before) == parts(Templated(template))[0]
        assert byte_tokenizer().decode(ends) == end


def test_bad_templates_and_roles_are_named() -> None:
    forgets = "{% if add_generation_prompt %}Question{% else %}Answer{% endif %}"
    with pytest.raises(ValueError, match=r"changes the prompt of example 4 of 'logic' \(syllogisms\)"):
        render(ASKED, Templated(forgets), 4)
    with pytest.raises(ValueError, match=r"template of the tokenizer refuses example 0 .*: no system"):
        render(ASKED, Templated("{{ raise_exception('no system') }}"))
    strange = ASKED._replace(messages=(("robot", "Hi"),))
    with pytest.raises(ValueError, match=r"a message of role 'robot'; known: system, user, assistant"):
        render(strange, Templated(None))
