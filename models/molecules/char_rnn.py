"""CharRNN: a recurrent network that writes SMILES strings, character by character.

The baseline of MOSES (Polykovskiy et al., arXiv 1811.12823) after Segler et al. (arXiv 1701.01329), here with one layer
and characters as tokens.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from safetensors.torch import load, save_file
from torch import Tensor, nn

from ..errors import ModelError

# Shapes: B strings, T places (the longest string and its end), V characters and the end.

END = 0
"""The token before the first character and after the last one; padding of the inputs, too."""
IGNORED = -100
"""Padding of the targets, which `cross_entropy` passes over."""


@dataclass(frozen=True, kw_only=True)
class CharRNNConfig:
    """Size and alphabet of a `CharRNN`; `longest` is where writing ends at the latest.

    Raises `ModelError` for an alphabet that is empty or has a character twice, and for numbers below 1.
    """

    characters: str
    embedding: int = 64
    width: int = 320
    layers: int = 1
    longest: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.characters or len(set(self.characters)) != len(self.characters):
            raise ModelError(f"characters={self.characters!r} must be different ones, and at least one")
        if min(self.embedding, self.width, self.layers, self.longest) < 1:
            raise ModelError(f"{self}: sizes and the longest string must be at least 1")


@dataclass(frozen=True, eq=False)
class StringBatch:
    """B strings: `inputs` int64 (B, T), from the start token on; `targets` (B, T), what follows each, up to the end."""

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.inputs)

    def to(self, device: torch.device) -> StringBatch:
        """The same on a device."""
        return StringBatch(self.inputs.to(device), self.targets.to(device))


class Written(NamedTuple):
    """A string that was sampled; its log-likelihood in nats; whether it came to its end before `longest`."""

    text: str
    log_prob: float
    ended: bool


class CharRNN(nn.Module):
    """Embedded characters, an LSTM, and a linear layer to the next character or the end.

    Example::

        model = CharRNN(CharRNNConfig(characters=alphabet(training)))
        loss = model.loss(model.batch(training[:64]))
        model.sample(10, generator=torch.Generator().manual_seed(0))
    """

    core_seconds: float | None = None
    """What its training took, where it is known."""

    def __init__(self, config: CharRNNConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(1 + len(config.characters), config.embedding)
        self.lstm = nn.LSTM(config.embedding, config.width, config.layers, batch_first=True)
        self.head = nn.Linear(config.width, 1 + len(config.characters))
        _initialise(self, torch.Generator().manual_seed(config.seed))

    def batch(self, smiles: Sequence[str]) -> StringBatch:
        """Strings as numbers, padded to the longest; on the CPU. Raises `ModelError` for an unknown character."""
        numbers = {character: 1 + place for place, character in enumerate(self.config.characters)}
        inputs = torch.full((len(smiles), 1 + max(map(len, smiles), default=0)), END)
        targets = torch.full_like(inputs, IGNORED)
        for row, text in enumerate(smiles):
            unknown = set(text) - set(numbers)
            if unknown:
                raise ModelError(f"{text!r} has characters that the model does not know: {sorted(unknown)}")
            known = torch.tensor([numbers[character] for character in text], dtype=torch.long)
            inputs[row, 1 : 1 + len(text)] = known
            targets[row, : len(text)] = known
            targets[row, len(text)] = END
        return StringBatch(inputs, targets)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (B, T, V) of what follows each of the inputs (B, T)."""
        return self.head(self.lstm(self.embed(inputs))[0])

    def loss(self, batch: StringBatch) -> Tensor:
        """Mean negative log-likelihood of a character or an end, in nats."""
        return F.cross_entropy(self(batch.inputs).flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED)

    @torch.no_grad()
    def log_likelihood(self, smiles: Sequence[str], temperature: float = 1.0) -> Tensor:
        """Log-likelihood (B,) of each string, its end included, in nats, when drawn at a `temperature` above 0."""
        batch = self.batch(smiles).to(self.head.weight.device)
        logits_BVT = self(batch.inputs).transpose(1, 2) / temperature
        return -F.cross_entropy(logits_BVT, batch.targets, ignore_index=IGNORED, reduction="none").sum(1)

    @torch.no_grad()
    def sample(self, n: int, *, temperature: float = 1.0, generator: torch.Generator | None = None) -> list[Written]:
        """Draw `n` strings, whether they are molecules or not.

        Args:
            n: how many.
            temperature: what the logits are divided by; above 0.
            generator: draws the characters, on the CPU, whatever device the model is on.

        Returns:
            The strings, in the order drawn.

        Raises:
            ModelError: a temperature that is not above 0 and finite.
        """
        if not (temperature > 0 and math.isfinite(temperature)):
            raise ModelError(f"temperature={temperature} must be above 0 and finite")
        device = self.head.weight.device
        tokens = torch.full((n, self.config.longest), END)
        log_prob = torch.zeros(n)
        rows = torch.arange(n)  # those that have not ended
        last = torch.full((n, 1), END)
        state = None
        for place in range(self.config.longest):
            if not len(rows):
                break
            output, state = self.lstm(self.embed(last.to(device)), state)
            chances = (self.head(output[:, 0]).float() / temperature).softmax(1).cpu()
            last = chances.multinomial(1, generator=generator)
            log_prob[rows] += chances.gather(1, last)[:, 0].log()
            tokens[rows, place] = last[:, 0]
            on = (last[:, 0] != END).nonzero()[:, 0]
            rows, last = rows[on], last[on]
            state = tuple(part[:, on.to(device)] for part in state)
        unfinished = set(rows.tolist())
        texts = [self._text(row) for row in tokens.tolist()]
        return [
            Written(text, value, row not in unfinished)
            for row, (text, value) in enumerate(zip(texts, log_prob.tolist(), strict=True))
        ]

    def save(self, folder: Path) -> None:
        """Write config.json and model.safetensors, with the weights as they are, into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(asdict(self.config), indent=2) + "\n", encoding="utf-8")
        save_file(
            {name: weight.contiguous() for name, weight in self.state_dict().items()}, folder / "model.safetensors"
        )

    @classmethod
    def load(cls, folder: Path) -> CharRNN:
        """What `save` wrote, in float32 and eval mode."""
        config = CharRNNConfig(**json.loads((folder / "config.json").read_text(encoding="utf-8")))
        model = cls(config)
        model.load_state_dict(load((folder / "model.safetensors").read_bytes()))
        return model.eval()

    def _text(self, tokens: Sequence[int]) -> str:
        """The characters before the end."""
        found = []
        for token in tokens:
            if token == END:
                break
            found.append(self.config.characters[token - 1])
        return "".join(found)


def alphabet(smiles: Sequence[str]) -> str:
    """The characters of the strings, each once, sorted."""
    found: set[str] = set()
    for text in smiles:
        found |= set(text)
    return "".join(sorted(found))


@torch.no_grad()
def _initialise(model: CharRNN, generator: torch.Generator) -> None:
    """Embeddings N(0, 1), all else U(-1, 1) / sqrt(width), as torch does for an LSTM."""
    bound = 1 / math.sqrt(model.config.width)
    model.embed.weight.normal_(generator=generator)
    for part in (model.lstm, model.head):
        for weight in part.parameters():
            weight.uniform_(-bound, bound, generator=generator)
