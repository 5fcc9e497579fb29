"""Groups of text by what it says instead of where it comes from: clusters of sentence embeddings.

An example is embedded by a sentence encoder (its first 128 tokens, as `encoders/bert.py` reads them), of unit length,
and the training examples are clustered by k-means. MoE-SFT (arXiv 2406.11256) compares data sets by such embeddings,
too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ..encoders.bert import TextBody
from .data import TextRows
from .packing import Example, Row, pack

BATCH = 64
COMPARED = 64
"""Examples of each group whose mean stands for it."""
HELD_OUT = 0.1
"""Fraction of the training examples of a cluster that is held out where no held-out example falls into it."""
STARTS = 4
"""Random starts of k-means, of which the best counts."""

# Shapes: P examples, D columns, K clusters.


def by_sentences(data: TextRows, encoder: TextBody, clusters: int, seed: int) -> TextRows:
    """The data in groups "cluster 1" ... by their embeddings; a packed row holds examples of one cluster.

    Held-out examples go to the nearest centre. A cluster without any gives a tenth of its training examples, which are
    then not trained on. Raises ValueError for fewer than 2 clusters or more than examples, and for a cluster of a
    single example that nothing could be held out of.
    """
    from sklearn.cluster import KMeans

    train = _examples(data.train)
    held_out = _examples(data.held_out)
    if not 2 <= clusters <= len(train):
        raise ValueError(f"clusters={clusters} must lie from 2 to {len(train)}, the number of training examples")
    means: Any = KMeans(clusters, n_init=STARTS, random_state=seed % 2**32)  # type: ignore[arg-type]
    label_P = means.fit_predict(embeddings(data, train, encoder))
    of_held_out_P = np.zeros(0, dtype=int)
    if held_out:
        of_held_out_P = means.predict(embeddings(data, held_out, encoder))
    chosen_train: list[Example] = []
    chosen_held_out: list[Example] = []
    for cluster in range(clusters):
        group = f"cluster {cluster + 1}"
        members = _labelled(train, label_P, cluster, group)
        kept = _labelled(held_out, of_held_out_P, cluster, group)
        if not kept:
            count = max(1, round(HELD_OUT * len(members)))
            kept, members = members[:count], members[count:]
        if not members:
            raise ValueError(f"{group} of {clusters} has a single example and none to hold out: take fewer clusters")
        chosen_train += members
        chosen_held_out += kept
    return replace(data, train=_rows(data, chosen_train), held_out=_rows(data, chosen_held_out))


def group_vectors(data: TextRows, encoder: TextBody) -> Mapping[str, np.ndarray]:
    """The mean embedding (D,) of the first examples of each group, in float64."""
    found = {}
    for group in data.groups:
        members = _examples(data.only([group]).train)[:COMPARED]
        found[group] = embeddings(data, members, encoder).mean(0)
    return found


@torch.inference_mode()
def embeddings(data: TextRows, examples: Sequence[Example], encoder: TextBody) -> np.ndarray:
    """Embeddings (P, D) of unit length, in float64."""
    items = encoder.encode([data.text(example) for example in examples])
    order = sorted(range(len(items)), key=lambda place: len(items[place]))
    rows: dict[int, Any] = {}
    encoder.eval()
    for start in range(0, len(order), BATCH):
        places = order[start : start + BATCH]
        vectors_BD = encoder(encoder.collate([items[place] for place in places])).double()
        vectors_BD = torch.nn.functional.normalize(vectors_BD, dim=-1)
        for place, vector_D in zip(places, vectors_BD.numpy(), strict=True):
            rows[place] = vector_D
    return np.stack([rows[place] for place in range(len(items))])


def _examples(rows: Sequence[Row]) -> list[Example]:
    return [example for row in rows for example in row.examples]


def _labelled(examples: Sequence[Example], label_P: np.ndarray, cluster: int, group: str) -> list[Example]:
    """The examples of a cluster, as members of its group."""
    chosen = np.flatnonzero(label_P == cluster).tolist()
    return [replace(examples[place], group=group) for place in chosen]


def _rows(data: TextRows, examples: Sequence[Example]) -> list[Row]:
    """Examples as rows of the data's kind."""
    if data.packed:
        return pack(examples, data.length, longer="cut")
    return [Row(example.group, (example,)) for example in examples]
