"""The one training loop. It knows models, data, a loss and settings: no method, no task.

result = train(
    {"student": student, "teacher": teacher},
    data,
    loss,  # loss(models, batch) -> tensor
    groups=[Group.adamw("student", student, ...), Group.adamw("teacher", teacher, ...)],
    settings=TrainSettings(steps=1_000, batch_size=32, accumulation=4),
    folder=folder,  # where training goes on after a stop
)
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from ..contracts.freed_memory import freed_memory_kept
from .callbacks import Callback, TrainingState, remembering
from .checkpoint import Checkpoints
from .data_order import data_order, total_steps
from .fingerprint import data_digest, fingerprint
from .groups import Group, check_groups
from .processes import Processes
from .result import TrainResult
from .run import Run
from .settings import TrainSettings
from .step import Loss, Stepper


def train(
    models: nn.Module | Mapping[str, nn.Module],
    data: object,
    loss: Loss,
    *,
    groups: Sequence[Group],
    settings: TrainSettings,
    weight: Callable[[Any], float] | None = None,
    tokens: Callable[[Any], int] | None = None,
    callbacks: Sequence[Callback] = (),
    evaluate: Callable[[Any], Mapping[str, float]] | None = None,
    folder: Path | None = None,
    stage: str = "train",
    corpus: str | None = None,
) -> TrainResult:
    """Train the parameters of `groups` in place; models are left in eval mode.

    Args:
        models: one, or several by name, where they are to be trained. Losses and `evaluate` get them as given here.
            While training, a model with parameters in a group is in train mode, another (a frozen teacher) in eval.
        data: map-style (`TrainingData`) or a stream (`data_order.py`).
        loss: mean loss of (models, batch), as a tensor or as a mapping of parts that are summed.
        groups: parameters and their optimizers.
        weight: over how many things (tokens, labels) the loss of a batch is a mean. Batches of one step, and of
            several processes, count by it. By default the number of examples; for a stream, all batches alike.
        tokens: tokens of a batch; needed where the settings end training after a number of them.
        callbacks: hooks, in order.
        evaluate: scores of the models, which are in eval mode; may draw random numbers without changing the training.
        folder: keeps checkpoints in `folder/stage`; where they lie, training goes on and gives what it would have
            given without the stop, bit by bit. A stage that has ended is not trained again: its weights are read. With
            another number of processes, the data are the same (`data_order.py`), sums are equal to rounding, and a new
            process draws its own random numbers.
        stage: name of this training among those that share the folder, one after another.
        corpus: says which data these are; by default `data.fingerprint()`, else a digest of the examples.

    Raises:
        OtherTrainingError: `folder` holds a training with other data, settings, groups, callbacks that remember
            something, first weights, or examples in a step.
        FloatingPointError: the loss is not finite.
        ValueError, TypeError: groups, settings and data do not fit together; nothing has been trained.
    """
    named = {"model": models} if isinstance(models, nn.Module) else dict(models)
    check_groups(named, groups)
    if settings.tokens is not None and tokens is None:
        raise ValueError("settings.tokens says when training ends: give `tokens`, which counts those of a batch")
    processes = Processes(groups[0].members()[0].device)
    for model in named.values():
        processes.share([*model.parameters(), *model.buffers()])
    optimizers = {group.name: group.build() for group in groups}
    order = data_order(data, settings, processes)
    checkpoints = None
    if folder is not None:
        identity = fingerprint(named, groups, optimizers, settings, order.step_size(settings.accumulation))
        identity["data"] = corpus or data_digest(data)
        identity["callbacks"] = [type(callback).__name__ for callback in remembering(callbacks)]
        checkpoints = Checkpoints(folder / stage, identity, processes)
    run = Run(
        stepper=Stepper(models, named, groups, list(optimizers.values()), loss, settings, processes),
        state=TrainingState(models=named, optimizers=optimizers, data=data, total=total_steps(settings, order)),
        order=order,
        callbacks=callbacks,
        weight=weight,
        tokens=tokens,
        evaluate=evaluate,
        checkpoints=checkpoints,
    )
    ended = run.start()
    if not ended:
        with freed_memory_kept():
            while not run.over():
                drawn = order.take(settings.accumulation)
                if drawn:
                    run.step(drawn)
                else:
                    run.end_epoch()
            run.finish()
    return run.result()
