"""Of the parameters of a partitioned model, the entries that an output depends on: the others never change."""

from collections.abc import Iterator

from torch import Tensor, nn

from sparsebench.models.dynamic.partitioning.parts import attention_vectors, dynamic_layers


def used_entries(model: nn.Module) -> Iterator[tuple[Tensor, int]]:
    """Parameters that a partition leaves in use in part, or as a whole, with the number of entries in use.

    A bank of K kernels has K κ n of its K n, a static weight (1 - κ) n of its n. Of an attention with C factors the
    last layer has κ C of its rows.

    Args:
        model: what `partition` made, not in its compact form.
    """
    for layer in dynamic_layers(model).values():
        if layer.partition is not None:
            dynamic = int(layer.partition.mask.sum())
            yield layer.bank, layer.num_kernels * dynamic
            yield layer.partition.static, layer.partition.mask.numel() - dynamic
    for vector in attention_vectors(model).values():
        if vector.partition is not None:
            dynamic = int(vector.partition.mask.sum())
            yield vector.fc.weight, vector.hidden * dynamic
            yield vector.fc.bias, dynamic
            yield vector.partition.static, vector.partition.mask.numel() - dynamic
