#!/usr/bin/env bash
# An engineer: his language model as a mixture of experts of 4 bits that plain transformers runs.
set -eu

cat > train.py <<'PYTHON'
"""His model and its texts, with a tokenizer of the kind of Llama 2; trained by nobody, which no command can know."""

import argparse
import ast
import calendar
import difflib
import inspect
import json
import textwrap

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

for name, modules in {"mine": (argparse, difflib), "other": (ast, calendar, textwrap)}.items():
    with open(f"{name}.jsonl", "w") as file:
        for module in modules:
            source = inspect.getsource(module)
            file.writelines(json.dumps({"text": source[i : i + 3000]}) + "\n" for i in range(0, 24000, 3000))

SPECIAL = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
words = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
words.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
words.decoder = decoders.Sequence(
    [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
)
trainer = trainers.BpeTrainer(vocab_size=768, special_tokens=SPECIAL, show_progress=False)
words.train_from_iterator(inspect.getsource(argparse).split(), trainer)
tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", bos_token="<s>", eos_token="</s>")
tokenizer.save_pretrained("llama")

torch.manual_seed(0)
sizes = {"hidden_size": 64, "intermediate_size": 512, "num_hidden_layers": 2}
heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
config = LlamaConfig(vocab_size=len(tokenizer), **sizes, **heads, initializer_range=0.2)
LlamaForCausalLM(config).save_pretrained("llama")
PYTHON
python train.py

# Both end with a table of before and after: parameters, bytes, bits per byte of the held-out texts, tokens a second.
sparsebench convert llama mixture --experts 8 --top-k 2 --shared 2 --calibration mine.jsonl --held-out other.jsonl
sparsebench compress mixture packed --bits 4 --calibration mine.jsonl --held-out other.jsonl
# A folder for other programs is written only if its outputs are those of the model.
sparsebench export packed stock --dense --held-out other.jsonl
# 4 bits on the disk, too: for vLLM, and transformers with compressed-tensors
sparsebench export packed codes --held-out other.jsonl

cat > open.py <<'PYTHON'
"""The stock folder in plain transformers."""

import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

ids = AutoTokenizer.from_pretrained("stock")("def mean(values):", return_tensors="pt")["input_ids"]
model = AutoModelForCausalLM.from_pretrained("stock")
torch.save({"ids": ids, "logits": model(ids).logits.detach()}, "stock.pt")
print(type(model).__name__, "in plain transformers" if "sparsebench" not in sys.modules else "with sparsebench")
PYTHON
python open.py

cat > compare.py <<'PYTHON'
"""The packed folder in sparsebench, beside what plain transformers made of the stock one."""

import torch
from sparsebench.models import load
from sparsebench.models.compression.quantisation import dense_products

stock = torch.load("stock.pt")
with torch.no_grad(), dense_products():  # the kernels for 4 bits are faster, and round what comes in
    logits = load("packed")(stock["ids"]).logits
difference = (logits - stock["logits"]).abs().max() / logits.abs().max()
print(f"largest difference of a logit: {difference:.1e} of the largest")
PYTHON
python compare.py
