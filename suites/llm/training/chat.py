"""Conversations as text: by the chat template of the tokenizer, or, where it has none, plainly.

Plain: each message is its role in words, a colon, a blank and the content, with a blank line after it, and the answer
follows "Assistant:":

    System: You are a helpful assistant.

    User: What is 2 + 2?

    Assistant: 4<end of text>
"""

from collections.abc import Sequence
from typing import Any, Protocol

from ..language.task import encode
from .packing import IGNORED, Example

DAY = (
    "{%- macro strftime_now(form) %}"
    "{{ form.replace('%d', '26').replace('%m', '07').replace('%Y', '2024')"
    ".replace('%b', 'Jul').replace('%B', 'July') }}"
    "{%- endmacro %}\n"
)
"""Before a template, takes the place of the function of transformers that writes today's date: else a conversation
would be other tokens on another day. The day is the one of Llama 3.1's template where there is no such function.
"""
ROLES = {"system": "System", "user": "User", "assistant": "Assistant"}
STOP = "\n\n"
"""Ends an answer where the tokenizer has no token for the end of a text."""


class Conversation(Protocol):
    """What `render` reads: messages (role, content) up to the answer, and the answer."""

    @property
    def group(self) -> str:
        """Group of the data, for instance logic."""
        ...

    @property
    def name(self) -> str:
        """Data set inside the group."""
        ...

    @property
    def messages(self) -> tuple[tuple[str, str], ...]:
        """(role, content), the role one of `ROLES`."""
        ...

    @property
    def answer(self) -> str:
        """What the assistant says next."""
        ...


def render(conversation: Conversation, tokenizer: Any, number: int = 0) -> Example:
    """A conversation as tokens; labels are those of the answer and of what ends it, such as <|im_end|>.

    Prompt and answer are tokenised apart, so that the prompt is what a model is asked with. `number` is its place in
    the data, for errors. Raises ValueError for a role or a template that cannot be rendered.
    """
    name = _name(conversation, number)
    prompt, answer, stop = _parts(conversation, tokenizer, name)
    before = encode(tokenizer, prompt)
    said = [*encode(tokenizer, answer), *stop]
    labels = (*[IGNORED] * len(before), *said)
    return Example(name, conversation.group, (*before, *said), labels, source=conversation.name)


def asked(conversation: Conversation, tokenizer: Any, number: int = 0) -> tuple[list[int], list[int]]:
    """The tokens that a model is asked with, up to where the answer begins, and those that end an answer.

    The answer of the conversation stands in for the one that is to come: any text will do. Raises as `render`.
    """
    prompt, answer, stop = _parts(conversation, tokenizer, _name(conversation, number))
    end = answer.rpartition(conversation.answer)[2]
    return encode(tokenizer, prompt), [*encode(tokenizer, end), *stop]


def _name(conversation: Conversation, number: int) -> str:
    return f"example {number} of {conversation.group!r} ({conversation.name})"


def _parts(conversation: Conversation, tokenizer: Any, name: str) -> tuple[str, str, Sequence[int]]:
    """The prompt, the answer with the text that ends it, and tokens that end it."""
    if getattr(tokenizer, "chat_template", None):
        return *_by_template(conversation, tokenizer, name), ()
    return _plainly(conversation, tokenizer, name)


def _by_template(conversation: Conversation, tokenizer: Any, name: str) -> tuple[str, str]:
    messages = [{"role": role, "content": content} for role, content in conversation.messages]
    whole = [*messages, {"role": "assistant", "content": conversation.answer}]
    try:
        template = tokenizer.get_chat_template()
        form = {"tokenize": False, "chat_template": DAY + template if "strftime_now" in template else template}
        prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, **form)
        text = tokenizer.apply_chat_template(whole, **form)
    except Exception as error:  # templates raise errors of their own, of any class
        raise ValueError(f"the chat template of the tokenizer refuses {name}: {error}") from error
    if not text.startswith(prompt):
        raise ValueError(
            f"the chat template of the tokenizer changes the prompt of {name} once there is an answer, so the answer "
            "cannot be told from it: use another template, or set tokenizer.chat_template = None for a plain one"
        )
    return prompt, text[len(prompt) :].rstrip("\n")  # what ends a turn may be followed by the blank before the next


def _plainly(conversation: Conversation, tokenizer: Any, name: str) -> tuple[str, str, Sequence[int]]:
    prompt = ""
    for role, content in conversation.messages:
        if role not in ROLES:
            raise ValueError(f"{name} has a message of role {role!r}; known: {', '.join(ROLES)}")
        prompt += f"{ROLES[role]}: {content}\n\n"
    prompt += "Assistant:"
    end = tokenizer.eos_token_id
    stop = encode(tokenizer, STOP) if end is None else [end]
    return prompt, f" {conversation.answer}", stop
