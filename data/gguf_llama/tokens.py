"""The tokenizer of a GGUF file: byte-level BPE as SmolLM has it."""

from typing import TYPE_CHECKING, Any

from .head import Head
from .metadata import get

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_CONTROL_TOKEN = 3  # llama.cpp's token type of `<|im_start|>` and its like
_TOKEN_TYPES = range(1, 7)
_NAMED = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}


def tokenizer(head: Head) -> "PreTrainedTokenizerFast":
    """The byte-level BPE tokenizer with single digits (pre-tokenizer `smollm`) and the chat template.

    Args:
        head: what `read_head` read.

    Raises:
        WeightsError: another kind of tokenizer, and tokens, merges or numbers that do not belong together.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary, kinds, merges = _checked(head)
    bpe = Tokenizer(models.BPE({token: index for index, token in enumerate(vocabulary)}, merges))
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    special = [token for token, kind in zip(vocabulary, kinds, strict=True) if kind == _CONTROL_TOKEN]
    bpe.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    named = {name: vocabulary[token_id(head, key)] for name, key in _NAMED.items()}
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        chat_template=_text(head, "tokenizer.chat_template"),
        model_max_length=get(head, "llama.context_length"),
        clean_up_tokenization_spaces=False,
        **named,
    )


def token_id(head: Head, name: str) -> int:
    """The number of a special token ("bos", "padding"). Raises `WeightsError` if no token has it."""
    key = f"tokenizer.ggml.{name}_token_id"
    value = get(head, key)
    count = get(head, "llama.vocab_size")
    if type(value) is not int or not 0 <= value < count:
        raise head.error(f"{key} is {value!r}: not a number from 0 to {count - 1}")
    return value


def _checked(head: Head) -> tuple[list[str], list[int], list[tuple[str, str]]]:
    """Tokens, their types and the merges, which fit together."""
    for key, known in (("tokenizer.ggml.model", "gpt2"), ("tokenizer.ggml.pre", "smollm")):
        if get(head, key) != known:
            raise head.error(f"{key} is {get(head, key)!r}; only {known!r} is known")
    tokens = _list(head, "tokenizer.ggml.tokens", str)
    count = get(head, "llama.vocab_size")
    if len(tokens) != count or len(set(tokens)) != count:
        raise head.error(f"{len(tokens)} tokens, {len(set(tokens))} of them different, for a vocabulary of {count}")
    kinds = _list(head, "tokenizer.ggml.token_type", int)
    if len(kinds) != count or not set(kinds) <= set(_TOKEN_TYPES):
        raise head.error(f"tokenizer.ggml.token_type is not {count} numbers from 1 to 6")
    known_tokens = set(tokens)
    merges = []
    for merge in _list(head, "tokenizer.ggml.merges", str):
        first, _, second = merge.partition(" ")
        if not {first, second, first + second} <= known_tokens:
            raise head.error(f"the merge {merge!r} is not of two tokens to a third")
        merges.append((first, second))
    return tokens, kinds, merges


def _list(head: Head, key: str, kind: type) -> list[Any]:
    found = get(head, key)
    if not isinstance(found, list) or not all(type(value) is kind for value in found):
        raise head.error(f"{key} is not a list of {kind.__name__}")
    return found


def _text(head: Head, key: str) -> str:
    found = get(head, key)
    if not isinstance(found, str):
        raise head.error(f"{key} is not a text")
    return found
