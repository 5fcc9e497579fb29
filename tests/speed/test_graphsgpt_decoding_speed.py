"""GraphGPT's decoding, in tokens, beside `generate` of an equally large Llama, and in molecules beside the way of the
published code: no cache, every prefix anew for each edge, a Python loop over the molecules. Wall clock; tokens on one
thread and on two, molecules on one.

Random weights, with heads that write a legal chain: every state prefers a single or a double bond to a stop, the begin
is the last atom and the end is new. So both ways give the same molecules, and nothing is ever repaired.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from sparsebench.models.graphsgpt.decoding.config import DecodingConfig
from sparsebench.models.graphsgpt.decoding.decode import decode
from sparsebench.models.graphsgpt.decoding.kv_cache import CachedDecoder
from sparsebench.models.graphsgpt.decoding.valence import max_valence
from sparsebench.models.graphsgpt.model.configuration import GraphsGPTConfig
from sparsebench.models.graphsgpt.model.modeling import GraphsGPT
from sparsebench.models.graphsgpt.tokens.batch import MoleculeTokens, collate
from sparsebench.models.graphsgpt.tokens.vocabulary import FIRST_NODE, Vocabulary

from .groups import Timed, Variant, of_model
from .rounds import WALL
from .scope import LONG

pytestmark = [
    LONG,
    pytest.mark.timeout(1800),
]
VOCABULARY = Vocabulary.improved([(6, 0), (14, 0)])
EDGES = 22  # the mean of MOSES
TOKENS = 1 + 2 * EDGES
BATCHES = (1, 8, 64)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
MOLECULES = {"ours": "ours", "prefix anew for each edge": "peer"}
Row = tuple[int, int, int, int]


class Size(NamedTuple):
    """Width, layers, heads."""

    width: int
    layers: int
    heads: int


SIZES = {"96 wide, 3 layers": Size(96, 3, 4), "512 wide, 8 layers": Size(512, 8, 8)}


def chain_writer(size: Size, words: int) -> GraphsGPT:
    """A model of random weights whose molecules are chains."""
    config = GraphsGPTConfig.of(
        VOCABULARY,
        num_words=words,
        hidden_size=size.width,
        intermediate_size=4 * size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
    )
    model = GraphsGPT(config).eval()
    codes, heads = model.decoder.embed.positions.codes, model.heads
    later = (torch.arange(len(codes), dtype=codes.dtype).unsqueeze(1) * codes).sum(0)
    with torch.no_grad():
        heads.bond.weight[[0, 3, 4]] = 0
        heads.bond.weight[2] = -heads.bond.weight[1]
        for end in (heads.begin, heads.end):
            end.weight.zero_()
            end.bias.copy_(later)
        for layer in model.decoder.layers:
            for weight in (layer.self_attn.o_proj.weight, layer.mlp.up_proj.weight, layer.mlp.down_proj.weight):
                weight.mul_(3)  # states differ more, and with them the molecules
    return model


class Written(nn.Module):
    """One pass over finished molecules: what there is to compute."""

    def __init__(self, model: GraphsGPT, molecules: list[MoleculeTokens]) -> None:
        super().__init__()
        self.decoder, self.heads, self.batch = model.decoder, model.heads, collate(molecules)

    def forward(self, words: Tensor) -> Tensor:
        return self.decoder(self.batch, words)


def new_words(rows: int, words: int, width: int) -> Tensor:
    return torch.randn(rows, words, width, generator=torch.Generator().manual_seed(0))


def ours(cached: CachedDecoder, words: Tensor) -> list[MoleculeTokens]:
    return [molecule.tokens for molecule in decode(cached, words, config=DecodingConfig(max_edges=EDGES))]


def llama() -> LlamaForCausalLM:
    """As many weights as the decoder with its heads (its FFN is gated: three matrices of two thirds the width)."""
    config = LlamaConfig(
        hidden_size=512,
        intermediate_size=1365,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=8,
        vocab_size=320,
        tie_word_embeddings=False,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=None,
    )
    return LlamaForCausalLM(config).eval()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", BATCHES)
@pytest.mark.parametrize("variant", ["ours", "generate"])
@torch.no_grad()
def test_tokens(variant: str, rows: int, dtype: str, threads: int, compare: Callable[..., Timed]) -> None:
    group = f"decoding of {TOKENS} tokens, 8 layers 512 wide, batch {rows}, {dtype}, {threads} threads"
    makers = {"ours": our_tokens, "generate": llama_tokens}
    compare(variant, makers, lambda name: makers[name](rows, DTYPES[dtype]), group=group, clock=WALL, count=threads)


def llama_tokens(rows: int, dtype: torch.dtype) -> Variant:
    model: Any = llama().to(dtype)
    ids = torch.randint(2, 320, (rows, 2), generator=torch.Generator().manual_seed(0))  # as one word and BOS

    def call() -> Tensor:
        return model.generate(ids, max_new_tokens=TOKENS, min_new_tokens=TOKENS, do_sample=False, pad_token_id=0)

    assert call().shape == (rows, 2 + TOKENS)
    return of_model(call, "peer", model, call(), tokens=rows * TOKENS)


def our_tokens(rows: int, dtype: torch.dtype) -> Variant:
    model = chain_writer(Size(512, 8, 8), 1).to(dtype)
    words, cached = new_words(rows, 1, 512).to(dtype), CachedDecoder(model, rows)
    written = ours(cached, words)
    assert [molecule.shape for molecule in written] == [(4, TOKENS)] * rows
    return of_model(lambda: ours(cached, words), "ours", Written(model, written), words, tokens=rows * TOKENS)


class Loop:
    """The way of the published code: state of one molecule in Python lists."""

    def __init__(self, atom: int) -> None:
        self.rows: list[Row] = [(FIRST_NODE + atom, 0, 0, 1)]
        self.free = [max_valence(*VOCABULARY.nodes[atom])]
        self.joined: set[tuple[int, int]] = set()

    def add(self, bond: int, begin: int, end: int, atom: int) -> None:
        assert begin < end and (begin, end) not in self.joined
        self.rows.append((VOCABULARY.first_edge + bond - 1, begin, end, 0))
        if end == len(self.free):
            self.rows.append((FIRST_NODE + atom, end, end, 1))
            self.free.append(max_valence(*VOCABULARY.nodes[atom]))
        self.free[begin], self.free[end] = self.free[begin] - bond, self.free[end] - bond
        assert min(self.free[begin], self.free[end]) >= 0
        self.joined.add((begin, end))


@torch.no_grad()
def one_by_one(model: GraphsGPT, words: Tensor) -> list[MoleculeTokens]:
    codes, rows = model.decoder.embed.positions.codes, len(words)
    states = model.decoder(collate([np.zeros((4, 0), dtype=np.int16)] * rows), words)[:, 0]
    first = model.heads.first_atom(states)
    molecules = [Loop(int(first[row].argmax().item())) for row in range(rows)]
    for _ in range(EDGES):
        predicted = model.heads(states, codes)
        for row, molecule in enumerate(molecules):
            present = len(molecule.free)
            bond = int(predicted.bond[row].argmax().item())
            begin = int(predicted.begin[row, :present].argmax().item())
            end = int(predicted.end[row, : present + 1].argmax().item())
            molecule.add(bond, begin, end, int(predicted.atom[row].argmax().item()))
        states = model.decoder(collate([as_tokens(molecule.rows) for molecule in molecules]), words)
        last = torch.tensor([1 + max(i for i, r in enumerate(m.rows) if r[3] == 0) for m in molecules])
        states = states[torch.arange(rows), last]
    return [as_tokens(molecule.rows) for molecule in molecules]


def as_tokens(rows: list[Row]) -> MoleculeTokens:
    return np.array(rows, dtype=np.int16).T


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("variant", MOLECULES)
@torch.no_grad()
def test_molecules(variant: str, size: str, compare: Callable[..., Timed]) -> None:
    group = f"decoding of 256 molecules of {1 + EDGES} atoms, {size}, float32"
    compare(variant, MOLECULES, lambda name: molecules(name, SIZES[size]), group=group, clock=WALL)


def molecules(name: str, size: Size) -> Variant:
    model, words = chain_writer(size, 4), new_words(256, 4, size.width)
    cached = CachedDecoder(model, len(words))
    written = ours(cached, words)
    call = (lambda: ours(cached, words)) if name == "ours" else (lambda: one_by_one(model, words))
    same = [np.array_equal(a, b) for a, b in zip(call(), written, strict=True)]
    assert np.mean(same) > 0.98  # of 11,000 choices a near tie may fall either way
    assert len({molecule.tobytes() for molecule in written}) > 20
    return of_model(call, MOLECULES[name], Written(model, written), words, molecules=len(words))
