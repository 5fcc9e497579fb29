"""Trainings in processes of their own that are killed, go on, or work together; `conftest.py` runs this file once.

    python -m tests.suites.training.forked FOLDER

Writes FOLDER/found.json: what each training gave. Processes are forked, so that torch is imported once.
"""

import importlib
import json
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sparsebench.suites.training.callbacks import Callback, TrainingState
from sparsebench.suites.training.fingerprint import weights_digest
from sparsebench.suites.training.groups import Group
from sparsebench.suites.training.loop import train
from sparsebench.suites.training.settings import TrainSettings

from ...gloo import together
from .balanced import BALANCES, balanced
from .watched import watched

SEED = 5
AT_END = 1000


class Kill(Callback):
    """Ends the process like a power cut, in the first run only."""

    def __init__(self, step: int | None, at_end: bool = False) -> None:
        self.step = step
        self.at_end = at_end

    def on_step(self, state: TrainingState) -> None:
        if state.step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_end(self, state: TrainingState) -> None:
        if self.at_end:
            os.kill(os.getpid(), signal.SIGKILL)


class Points:
    """Map-style: 20 points of different lengths, and what their sum should be."""

    def __init__(self) -> None:
        draws = torch.Generator().manual_seed(0)
        self.train = [torch.randn(4, generator=draws) for _ in range(20)]
        self.lengths = torch.randint(1, 9, (20,), generator=draws).tolist()

    def collate(self, examples: list[Tensor]) -> tuple[Tensor, Tensor]:
        x = torch.stack(examples)
        return x, x.sum(1, keepdim=True)


class Mixture:
    """A stream from two sources; weights, which a callback moves, say how often each is drawn from."""

    def __init__(self) -> None:
        self.weights = [0.5, 0.5]
        self.draws = np.random.default_rng(SEED)

    def __iter__(self) -> Iterator[Tensor]:
        while True:
            source = self.draws.choice(2, p=self.weights)
            yield torch.from_numpy(self.draws.normal(size=(3, 4)).astype(np.float32)) + float(source)

    def state_dict(self) -> dict[str, Any]:
        return {"weights": self.weights, "draws": self.draws.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.weights = state["weights"]
        self.draws.bit_generator.state = state["draws"]

    def fingerprint(self) -> str:
        return "two sources"


class Mover(Callback):
    """Moves the weights of the mixture by the loss, and remembers the losses."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_step(self, state: TrainingState) -> None:
        self.losses.append(state.loss)
        share = float(np.clip(np.mean(self.losses) / 10, 0.1, 0.9))
        state.data.weights = [share, 1 - share]

    def state_dict(self) -> dict[str, Any]:
        return {"losses": self.losses}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.losses = state["losses"]


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 1))


def squared_error(model: nn.Module, batch: Any) -> Tensor:
    x, y = batch
    return nn.functional.mse_loss(model(x), y)


def noisy_score(model: nn.Module) -> dict[str, float]:
    """An evaluation that draws random numbers."""
    return {"val": float(model(torch.randn(2, 4)).sum()) + random.random()}


def single(folder: Path, kill: int | None) -> dict[str, Any]:
    model = network()
    forget(kill)
    settings = TrainSettings(
        epochs=4, batch_size=3, accumulation=2, clip=0.5, warmup=0.2, eval_every=2, save_every=2, save_seconds=None
    )
    group = Group.adamw("model", model, learning_rate=0.1, weight_decay=0.1)
    result = train(
        model,
        Points(),
        squared_error,
        groups=[group],
        settings=settings,
        callbacks=[Kill(kill)],
        evaluate=noisy_score,
        folder=folder,
    )
    return {"weights": weights_digest(model), "curves": result.curves, "steps": result.steps}


def pair_loss(models: Any, batch: Tensor) -> dict[str, Tensor]:
    taught = models["teacher"](batch)
    student = models["student"](batch)
    target = batch.sum(1, keepdim=True)
    return {
        "student": nn.functional.mse_loss(student, taught.detach()),
        "teacher": nn.functional.mse_loss(taught, target),
    }


def pair(folder: Path, kill: int | None) -> dict[str, Any]:
    models = {"student": network(), "teacher": nn.Linear(4, 1)}
    forget(kill)
    teacher = list(models["teacher"].parameters())
    groups = [
        Group.adamw("student", models["student"], learning_rate=0.1, weight_decay=0.1),
        Group(name="teacher", parameters=teacher, learning_rate=0.05, optimizer=torch.optim.SGD, clip=1.0),
    ]
    data, mover = Mixture(), Mover()
    result = train(
        models,
        data,
        pair_loss,
        groups=groups,
        settings=TrainSettings(tokens=60, save_every=3, save_seconds=None),
        tokens=len,
        callbacks=[mover, Kill(kill)],
        folder=folder,
    )
    weights = {name: weights_digest(model) for name, model in models.items()}
    return {"weights": weights, "curves": result.curves, "mixture": data.weights, "tokens": result.tokens}


def stages(folder: Path, kill: int | None) -> dict[str, Any]:
    """Two stages on one mixture, whose place and weights the second takes over."""
    model = network()
    forget(kill)
    data, mover = Mixture(), Mover()
    taken: dict[str, int] = {}
    for stage, rate in (("head", 0.1), ("all", 0.01)):
        layer = model[3] if stage == "head" else model
        counter = Count()
        last = Kill(kill if stage == "all" else None, at_end=stage == "head" and kill == AT_END)
        train(
            model,
            data,
            lambda model, batch: nn.functional.mse_loss(model(batch), batch.sum(1, keepdim=True)),
            groups=[Group.adamw(stage, layer, learning_rate=rate, weight_decay=0.0)],
            settings=TrainSettings(steps=8, save_every=2, save_seconds=None),
            callbacks=[counter, mover, last],
            folder=folder,
            stage=stage,
        )
        taken[stage] = counter.steps
    return {"weights": weights_digest(model), "taken": taken, "mixture": data.weights}


class Count(Callback):
    steps = 0

    def on_step(self, state: TrainingState) -> None:
        self.steps += 1


def forget(kill: int | None) -> None:
    """Where training goes on, the generators stand elsewhere than at the first start."""
    if kill is None:
        torch.rand(3)
        np.random.rand(3)
        random.random()


class Idle(nn.Module):
    """Two experts; an example goes to one by its first value, so that a process may have none for one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.experts = nn.ModuleList(nn.Linear(4, 1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        first = x[:, 0] > 0
        y = torch.zeros(len(x), 1)
        for choice, expert in zip((first, ~first), self.experts, strict=True):
            if choice.any():
                y[choice] = expert(x[choice])
        return y


class Sentences:
    """A stream of padded batches (x, y, mask) with unequal numbers of tokens, the first to one expert only."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.done = 0

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        draws = torch.Generator().manual_seed(1)
        x = torch.randn(96, 4, generator=draws)
        x[:8, 0] = x[:8, 0].abs()
        y = torch.randn(96, 1, generator=draws)
        mask = torch.rand(96, 1, generator=draws) < torch.arange(96).remainder(8)[:, None] / 8 + 0.1
        while self.done < 96:
            part = slice(self.done, self.done + self.size)
            self.done += self.size
            yield x[part], y[part], mask[part]
        self.done = 0

    def state_dict(self) -> dict[str, int]:
        return {"done": self.done}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.done = state["done"]

    def fingerprint(self) -> str:
        return "sentences"


def masked_mean(model: Any, batch: Any) -> Tensor:
    x, y, mask = batch
    return ((model(x) - y).square() * mask).sum() / mask.sum()


def tokens_of(batch: Any) -> int:
    return int(batch[2].sum())


def rows(
    folder: Path, size: int, accumulation: int = 1, stop: int | None = None, weighted: bool = True
) -> dict[str, Any]:
    """Six steps of the same 16 rows, however they are cut into batches and shared out."""
    torch.manual_seed(SEED + int(os.environ.get("RANK", "0")))  # the first weights are those of the main process
    model = Idle()
    settings = TrainSettings(steps=6, accumulation=accumulation, clip=1.0, save_every=2, save_seconds=None)
    result = train(
        model,
        Sentences(size),
        masked_mean,
        groups=[Group(name="model", parameters=list(model.parameters()), learning_rate=0.1, optimizer=torch.optim.SGD)],
        settings=settings,
        weight=tokens_of if weighted else None,
        tokens=tokens_of,
        callbacks=[Kill(stop)],
        folder=folder,
    )
    weights = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    return {"weights": weights.tolist(), "tokens": result.tokens, "losses": result.curves["train loss"]}


def writing(work: Callable[[], dict[str, Any]], folder: Path) -> Callable[[], None]:
    """Work of one process, from the same random states, that writes what it gives."""

    def whole() -> None:
        torch.manual_seed(SEED)
        np.random.seed(SEED)
        random.seed(SEED)
        found = work()
        (folder / f"rank-{os.environ.get('RANK', '0')}.json").write_text(json.dumps(found))

    return whole


def ran(work: Callable[[], dict[str, Any]], folder: Path, of: int) -> tuple[list[int | None], list[dict[str, Any]]]:
    """Exit codes of so many processes, and what those gave that ended well."""
    codes = together(writing(work, folder), of)
    found = []
    for rank in range(of):
        file = folder / f"rank-{rank}.json"
        if file.exists():
            found.append(json.loads(file.read_text()))
            file.unlink()
    return codes, found


def main(folder: Path) -> None:
    importlib.import_module("torch._dynamo")  # the optimizers import it at their first step: once, before the forks
    torch.set_num_threads(1)
    found: dict[str, Any] = {"codes": {}}

    def run(name: str, work: Callable[[], dict[str, Any]]) -> None:
        (found["codes"][name],), gave = ran(work, folder, 1)
        if gave:
            (found[name],) = gave

    def two(name: str, work: Callable[[], dict[str, Any]]) -> None:
        found["codes"][name], found[name] = ran(work, folder, 2)

    for work in (single, pair, stages):
        run(f"{work.__name__} whole", lambda work=work: work(folder / work.__name__ / "whole", -1))
        run(f"{work.__name__} killed", lambda work=work: work(folder / work.__name__ / "parts", 5))
        run(f"{work.__name__} resumed", lambda work=work: work(folder / work.__name__ / "parts", None))
    run("stages killed at the end", lambda: stages(folder / "stages" / "end", AT_END))
    run("stages killed at the end and resumed", lambda: stages(folder / "stages" / "end", None))
    run("one process", lambda: rows(folder / "one", 16))
    run("accumulated", lambda: rows(folder / "accumulated", 4, 4))
    run("unweighted", lambda: rows(folder / "unweighted", 8, 2, weighted=False))
    two("two whole", lambda: rows(folder / "two", 8))
    two("two killed", lambda: rows(folder / "two parts", 8, stop=5))
    two("two resumed", lambda: rows(folder / "two parts", 8))
    two("two accumulated", lambda: rows(folder / "two accumulated", 4, 2))
    for name in BALANCES:
        run(f"balanced {name}", lambda name=name: balanced(name, 16))
        two(f"two balanced {name}", lambda name=name: balanced(name, 8))
        run(f"emptied {name}", lambda name=name: balanced(name, 16, empty=True))
        two(f"two emptied {name}", lambda name=name: balanced(name, 8, empty=True))
    run("watched", lambda: watched(16))
    two("two watched", lambda: watched(8))
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
