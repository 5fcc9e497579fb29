"""One token per byte."""

from sparsebench.suites.llm.language.task import CausalLM, encode


def test_byte_tokenizer_round_trips(lm: CausalLM) -> None:
    text = "naïve – 日本\n\t<|endof 0123"
    ids = encode(lm.tokenizer, text)
    assert len(ids) == len(text.encode())
    assert lm.tokenizer.decode(ids) == text
