"""Whether a row can run: the one place that makes the reason of an "n/a", before a backbone is loaded and after it."""

from collections.abc import Sequence

from .method import Method, NotApplicable
from .traits import (
    READY_HEAD,
    TRAINING_DATA,
    Backbone,
    TaskTraits,
    missing_reason,
    own_traits,
    traits_of,
    unknown_anatomy,
)

UNTRAINED_HEAD = "the head is random here, and nothing in this row trains it: say train: head"
KEEPS_ITS_HEAD = (
    "train: head, but here the model keeps the head that it has: say train: all, router, experts, adapters or norms, "
    "or train: none for the model as it was transformed"
)


def reason_against(
    chain: Sequence[Method],
    task: TaskTraits | type[TaskTraits],
    backbone: Backbone,
    further: Sequence[Backbone] = (),
    names: Sequence[str] = (),
) -> str | None:
    """Why a chain of methods cannot run on a task and a backbone, as far as is known before loading.

    Each method finds what the task gives, the traits of the backbone, and what the links before it gave the model.

    Args:
        chain: the methods.
        task: the task.
        backbone: the cell's backbone.
        further: backbones that the methods load in addition, of which helpers need not go with the task.
        names: of the links, for the reason of a chain.

    Returns:
        The reason; None if it can run.
    """
    names = names or [type(method).__name__ for method in chain]
    gained: frozenset[str] = frozenset()
    for name, method in zip(names, chain, strict=True):
        reason = missing_reason(method.needs, task.gives | gained, backbone)
        if reason is None and method.trains == "head" and {TRAINING_DATA, READY_HEAD} <= task.gives:
            reason = KEEPS_ITS_HEAD
        if reason is not None:
            return f"{name}: {reason}" if len(chain) > 1 else reason
        gained |= method.gives
    helpers = {name for method in chain for name in method.helpers()}
    for known in (backbone, *[one for one in further if one.name not in helpers]):
        reason = missing_reason(task.needs, frozenset(), known)
        if reason is not None:
            return reason
    return _untrained_head(chain, task)


def check_loaded(loaded: object, task: TaskTraits, chain: Sequence[Method] = ()) -> None:
    """The same question with the traits of a loaded backbone.

    Args:
        loaded: the backbone.
        task: the task.
        chain: the methods.

    Raises:
        NotApplicable: it cannot run; the message is the reason.
    """
    traits = own_traits(loaded)
    needs = task.needs.union(*(method.needs for method in chain))
    if not needs <= task.gives | traits:
        traits = traits_of(loaded)
    reason = reason_against(chain, task, Backbone("the backbone", traits))
    if reason is not None:
        raise NotApplicable(reason + unknown_anatomy(loaded))


def _untrained_head(chain: Sequence[Method], task: TaskTraits | type[TaskTraits]) -> str | None:
    """A head that the task puts on the backbone has to be trained by some link, unless the row says that none does."""
    if not chain or TRAINING_DATA not in task.gives or READY_HEAD in task.gives:
        return None
    for method in chain:
        if method.trains is not None or type(method).fit is not Method.fit:
            return None
    return UNTRAINED_HEAD
