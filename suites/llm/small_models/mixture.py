"""Trains the small mixture of `backbones/small_mixture.py`, on the text that the small Llama was trained on.

    python -m sparsebench.suites.llm.small_models.mixture small_mixture.safetensors

The small Llama is cut into eight experts a block, by chance, and trained on: linear routers, two experts for a token,
the balance loss of Mixtral. One thread, one seed, about eight minutes. The test halves, which the tasks score,
are never read.
"""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from sparsebench.models.moe import MoEConfig, convert, export

from . import llama

EXPERTS, TOP_K, BALANCE = 8, 2, 0.01
STEPS, SEED = 1700, 0
SHAPE = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "hidden_act",
    "rms_norm_eps",
    "rope_parameters",
    "max_position_embeddings",
    "tie_word_embeddings",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
)
"""What it has in common with the small Llama, by the names of the configuration."""


def small_mixtral() -> Any:
    """The untrained model: 1.02 M parameters, 0.43 M of them at work on a token; the shape of the small Llama."""
    return mixtral_of(llama.small_llama().config, EXPERTS, BALANCE)


def mixtral_of(dense: Any, experts: int, balance: float) -> Any:
    """The untrained Mixtral whose FFNs are those of a Llama with this configuration, cut into experts."""
    from transformers import MixtralConfig, MixtralForCausalLM

    same = {name: getattr(dense, name) for name in SHAPE}
    config = MixtralConfig(
        **same,
        intermediate_size=dense.intermediate_size // experts,
        num_local_experts=experts,
        num_experts_per_tok=TOP_K,
        router_aux_loss_coef=balance,
        sliding_window=None,
    )
    return MixtralForCausalLM(config)


def mixture() -> Any:
    """The small Llama in float32, its FFNs cut, before any training."""
    model = llama.with_weights(llama.small_llama(), llama.WEIGHTS / "small_llama.safetensors")
    config = MoEConfig(num_experts=EXPERTS, top_k=TOP_K, balance="switch", balance_coef=BALANCE, seed=SEED)
    return convert(model, config)


def as_mixtral(model: Any) -> Any:
    """A trained `mixture` as the model of transformers that it is."""
    from transformers import AutoModelForCausalLM

    with tempfile.TemporaryDirectory() as folder:
        export(model, Path(folder))
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def main(out: Path) -> None:
    """Train and write. After a stop, the same command goes on."""
    torch.set_num_threads(1)
    training, held_out = llama.streams()
    folder = out.with_suffix(".training")
    trained = llama.train_on(mixture(), training, STEPS, folder)
    llama.write(as_mixtral(trained), held_out, out)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
