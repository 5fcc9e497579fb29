"""What is written at the end of pre-training: the weights, how they came about, and how good they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from rdkit import Chem, rdBase

from sparsebench.models.graphsgpt import GraphsGPT, TokenisedMolecules, Tokenizer, to_smiles
from sparsebench.models.graphsgpt.cache import CachedDecoder
from sparsebench.models.graphsgpt.decoding import Decoded, DecodingConfig, decode

from .corpus import Corpus
from .loop import Settings

HELD_OUT, SAMPLES, BATCH = 1000, 1000, 250


def write_model(
    folder: Path, model: GraphsGPT, settings: Settings, corpus: Corpus, test: Sequence[str], seconds: float
) -> None:
    """Write config.json, model.safetensors in float16 and card.json; what is measured are the rounded weights."""
    rounded = GraphsGPT(model.config)
    rounded.load_state_dict(model.cpu().state_dict())
    rounded.half().save_pretrained(folder)
    rounded = rounded.float().eval()
    found = {
        "model": "GraphsGPT, improved mode: both halves and heads",
        "parameters": sum(weight.numel() for weight in rounded.parameters()),
        "molecules": {"trained on": len(corpus.molecules.ok), "with requests": len(corpus.scaffolds)},
        "settings": asdict(settings),
        "processes": PartialState().num_processes,
        "seconds": round(seconds),
        "threads of each process": torch.get_num_threads(),
        "held-out molecules": min(HELD_OUT, len(test)),
        "exact reconstruction": reconstruction(rounded, test[:HELD_OUT]),
        "drawn without a request": samples(rounded, settings.seed),
        "versions": {name: version(name) for name in ("torch", "transformers", "rdkit", "numpy")},
    }
    (folder / "card.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


@torch.inference_mode()
def reconstruction(model: GraphsGPT, smiles: Sequence[str]) -> dict[str, float]:
    """Share of the molecules that come back exactly (canonical SMILES without stereo), by number of words."""
    if not smiles:
        return {}
    tokenizer = Tokenizer(_vocabulary(model))
    tokens = tokenizer(smiles)
    cached = CachedDecoder(model, BATCH)
    return {
        str(words): round(sum(_same(model, cached, tokens, words)) / len(smiles), 4)
        for words in range(1, model.config.num_words + 1)
    }


def _same(model: GraphsGPT, cached: CachedDecoder, tokens: TokenisedMolecules, words: int) -> list[bool]:
    found: list[bool] = []
    vocabulary = _vocabulary(model)
    for start in range(0, len(tokens), BATCH):
        rows = range(start, min(start + BATCH, len(tokens)))
        made = decode(cached, model.encoder(tokens.batch(list(rows)), words))
        for row, molecule in zip(rows, made, strict=True):
            wanted = tokens[row]
            known = wanted.shape[1] > 0 and molecule.status == "complete"
            found.append(known and to_smiles(molecule.tokens, vocabulary) == to_smiles(wanted, vocabulary))
    return found


@torch.inference_mode()
def samples(model: GraphsGPT, seed: int) -> dict[str, float]:
    """Validity, without and with constraints, and uniqueness of molecules drawn at temperature 1 without a request."""
    if not model.config.properties:
        return {}
    nothing = Tokenizer(_vocabulary(model))([""] * BATCH).batch()
    words = model.encoder(nothing, wanted=torch.full((BATCH, len(model.config.property_names)), torch.nan))
    found: dict[str, float] = {}
    for constrained in (False, True):
        draw = torch.Generator().manual_seed(seed)
        config = DecodingConfig(constrained=constrained, temperature=1.0)
        made = [molecule for _ in range(SAMPLES // BATCH) for molecule in decode(model, words, None, config, draw)]
        read = [_readable(molecule, model) for molecule in made]
        valid = [smiles for smiles in read if smiles]
        name = "constrained" if constrained else "free"
        found |= {f"valid, {name}": len(valid) / len(made), f"unique, {name}": len(set(valid)) / max(1, len(valid))}
    return found


def _readable(molecule: Decoded, model: GraphsGPT) -> str | None:
    if molecule.status != "complete":
        return None
    try:
        with rdBase.BlockLogs():
            smiles = to_smiles(molecule.tokens, _vocabulary(model))
            return smiles if Chem.MolFromSmiles(smiles) is not None else None
    except ValueError:
        return None


def _vocabulary(model: GraphsGPT) -> Any:
    from sparsebench.models.graphsgpt import Vocabulary

    return Vocabulary.from_dict(model.config.vocabulary or {})
