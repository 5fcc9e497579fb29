"""Trains the small Llama of `backbones/small_llama.py` on the calibration halves of the seven text domains.

    python -m sparsebench.suites.llm.small_models.llama small_llama.safetensors

One thread, one seed, about ten minutes. The test halves, which the tasks score, are never read.
"""

import hashlib
import math
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparsebench.data.cache import sha256_of
from sparsebench.data.text.documents import documents
from sparsebench.data.text.domains import DOMAINS
from sparsebench.models.moe import aux_loss
from sparsebench.models.precision import cast

from ...training.callbacks import Callback, TrainingState
from ...training.groups import Group
from ...training.loop import train as training_loop
from ...training.settings import TrainSettings
from ..language.task import SEPARATOR, encode, next_token_loss
from .byte_tokenizer import byte_tokenizer

CONTEXT = 512
"""Tokens, which are bytes, that the model is trained on at once and the most that it reads."""
BATCH, STEPS, SEED = 4, 1700, 0
LEARNING_RATE, WEIGHT_DECAY, WARMUP, CLIP = 3e-3, 0.1, 0.05, 1.0
WEIGHTS = Path(__file__).parents[1] / "weights"
"""The folder of the published ones."""
TIED = "lm_head.weight"
"""The embedding under another name, which files do not repeat."""
SAVE_SECONDS = 60.0
"""Between two checkpoints."""
HELD_OUT = 0.02
"""Share of each domain's bytes, at its end, that only the printed bits per byte are taken from."""


def small_llama(layers: int = 4, neurons: int = 512) -> Any:
    """The untrained model, width 128, 8 query and 4 key/value heads, tied embeddings: as it stands, 1.02 M parameters.

    Args:
        layers: blocks.
        neurons: of each FFN.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = byte_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=neurons,
        num_hidden_layers=layers,
        num_attention_heads=8,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def published(model: Any, name: str, sha256: str) -> Any:
    """`model` in bfloat16 with the weights of that name, in evaluation mode. Raises `ValueError` for another file."""
    file = WEIGHTS / f"{name}.safetensors"
    if sha256_of(file) != sha256:
        raise ValueError(f"{file} is not the file that this backbone was published with: reinstall sparsebench")
    return with_weights(cast(model, torch.bfloat16), file).eval()


def with_weights(model: Any, file: Path) -> Any:
    """`model` with the weights of a file that `write` wrote."""
    from safetensors.torch import load_file

    missing, unknown = model.load_state_dict(load_file(file), strict=False)
    assert set(missing) <= {TIED}, missing
    assert not unknown, unknown
    model.tie_weights()
    return model


def streams() -> tuple[list[Tensor], list[Tensor]]:
    """Tokens of each domain's calibration half: the training part, and the held-out end."""
    tokenizer = byte_tokenizer()
    training = []
    held_out = []
    for domain in DOMAINS:
        text = SEPARATOR.join(documents(domain, "calibration"))
        ids = torch.tensor(encode(tokenizer, text))
        end = round(len(ids) * (1 - HELD_OUT))
        training.append(ids[:end])
        held_out.append(ids[end:])
    return training, held_out


def batches(domains: Sequence[Tensor], generator: torch.Generator) -> Iterator[Tensor]:
    """Windows (BATCH, CONTEXT), each from a random place of a random domain, all domains equally likely."""
    while True:
        rows = []
        for domain in torch.randint(len(domains), (BATCH,), generator=generator).tolist():
            start = int(torch.randint(len(domains[domain]) - CONTEXT, (), generator=generator))
            rows.append(domains[domain][start : start + CONTEXT])
        yield torch.stack(rows)


class Windows:
    """The stream of `batches` from the seed on; remembers where it is."""

    def __init__(self, domains: Sequence[Tensor], seed: int = SEED) -> None:
        self.domains = domains
        self.generator = torch.Generator().manual_seed(seed)

    def __iter__(self) -> Iterator[Tensor]:
        return batches(self.domains, self.generator)

    def state_dict(self) -> dict[str, Tensor]:
        """Where the draws stand."""
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on drawing from there."""
        self.generator.set_state(state["generator"])

    def fingerprint(self) -> str:
        """Which bytes these are."""
        digest = hashlib.sha256()
        for domain in self.domains:
            digest.update(domain.numpy().tobytes())
        return f"{len(self.domains)} domains, sha256 {digest.hexdigest()}"


class BitsPerByte(Callback):
    """A line on standard output every 50 steps."""

    def on_step(self, state: TrainingState) -> None:
        """Print where a line is due."""
        step = state.step - 1
        if step % 50 == 0:
            sys.stdout.write(f"step {step}: {state.loss / math.log(2):.3f} bits per byte, {state.seconds:.0f} s\n")
            sys.stdout.flush()


def train(domains: list[Tensor], steps: int = STEPS, folder: Path | None = None) -> Any:
    """The trained model, in float32; prints the loss now and then. With a folder, training goes on after a stop."""
    torch.manual_seed(SEED)  # transformers draws the initial weights from the global generator
    return train_on(small_llama(), domains, steps, folder)


def train_on(model: Any, domains: Sequence[Tensor], steps: int, folder: Path | None = None, *, seed: int = SEED) -> Any:
    """`model`, trained in place by the recipe; of a mixture of experts, with the balance loss of its routers."""
    group = Group.adamw("model", model, learning_rate=LEARNING_RATE, weight_decay=WEIGHT_DECAY, betas=(0.9, 0.95))
    training_loop(
        model,
        Windows(domains, seed),
        lambda model, ids_BT: next_token_loss(model, {"input_ids": ids_BT, "labels": ids_BT}) + aux_loss(model),
        groups=[group],
        settings=TrainSettings(steps=steps, warmup=WARMUP, clip=CLIP, save_seconds=SAVE_SECONDS),
        callbacks=[BitsPerByte()],
        folder=folder,
    )
    return model


@torch.inference_mode()
def held_out_bits(model: Any, domains: list[Tensor]) -> dict[str, float]:
    """Bits per byte on the first 16 windows of each domain's held-out end."""
    found = {}
    for name, stream in zip(DOMAINS, domains, strict=True):
        rows = stream[: len(stream) // CONTEXT * CONTEXT].view(-1, CONTEXT)[:16]
        found[name] = next_token_loss(model, {"input_ids": rows, "labels": rows}).item() / math.log(2)
    return found


def write(model: Any, held_out: list[Tensor], out: Path) -> None:
    """Say how good the model is in bfloat16, and write its weights so."""
    from safetensors.torch import save_file

    cast(model, torch.bfloat16)
    for name, bits in held_out_bits(model, held_out).items():
        sys.stdout.write(f"{name}: {bits:.3f} bits per byte, held out\n")
    weights = {name: tensor for name, tensor in model.state_dict().items() if name != TIED}
    save_file(weights, out, metadata={"format": "pt"})


def main(out: Path) -> None:
    """Train and write. After a stop, the same command goes on."""
    torch.set_num_threads(1)
    training, held_out = streams()
    folder = out.with_suffix(".training")
    write(train(training, folder=folder), held_out, out)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
