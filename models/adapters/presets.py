"""Settings of published adapters, by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from ..errors import check_choice
from .config import AdapterConfig, CombinedConfig
from .kinds.binary import BinaryConfig
from .kinds.bottleneck import BottleneckConfig
from .kinds.convpass import ConvpassConfig
from .kinds.fact import FacTConfig
from .kinds.prefix import PrefixConfig
from .kinds.prompts import PromptConfig
from .kinds.rep_adapter import RepAdapterConfig
from .kinds.shared_parallel import StreamConfig
from .kinds.ssf import SSFConfig


def preset(name: str, *, faithful: bool = False, **changes: object) -> AdapterConfig:
    """The configuration of published adapters.

    Args:
        name: one of `PRESETS`.
        faithful: as the released code of SparseAdapter (arXiv 2210.04284) has them by default: with a LayerNorm of
            their own on the input and both projections N(0, 0.02^2), which SNIP needs and SynFlow, in that code, does
            not survive; others as in the release of their own authors.
        changes: other values of the configuration's fields.

    Returns:
        The configuration, for `attach`.

    Raises:
        ModelError: an unknown name or value.
    """
    check_choice("preset", name, tuple(PRESETS))
    return dataclasses.replace(PRESETS[name](faithful), **changes)


def houlsby(faithful: bool) -> BottleneckConfig:
    """Two adapters per block, GELU, near the identity at first (Houlsby et al., arXiv 1902.00751). Faithful: ReLU."""
    if faithful:
        return _faithful(BottleneckConfig(r=64, placement="houlsby"))
    return BottleneckConfig(r=64, placement="houlsby", activation="gelu", init="truncated")


def pfeiffer(faithful: bool) -> BottleneckConfig:
    """One adapter per block, at its end, ReLU (Pfeiffer et al., arXiv 2005.00247; their width is d / 16)."""
    config = BottleneckConfig(r=64, placement="pfeiffer", activation="relu", init="normal")
    return _faithful(config) if faithful else config


def parallel(faithful: bool) -> BottleneckConfig:
    """An adapter parallel to the FFN, no change at first (He et al., arXiv 2110.04366)."""
    config = BottleneckConfig(r=64, placement="parallel", activation="relu")
    return _faithful(config) if faithful else config


def scaled_parallel(faithful: bool) -> BottleneckConfig:
    """`parallel` times 4, the scale for summarisation (there with r=512)."""
    return dataclasses.replace(parallel(faithful), scale=4.0)


def mam(faithful: bool) -> CombinedConfig:
    """Mix-and-match: a prefix in the attention, a scaled parallel adapter at the FFN (arXiv 2110.04366).

    The released settings for GLUE: length 16 through an MLP of width 800, r=16, scale 2 (for summarisation: length 30,
    r=512, scale 4). Faithful: no difference. Only the adapters can be pruned.
    """
    ffn = dataclasses.replace(parallel(False), r=16, scale=2.0)
    return CombinedConfig(parts=(PrefixConfig(length=16, bottleneck=800), ffn))


def adaptformer(faithful: bool) -> StreamConfig:
    """An adapter parallel to the FFN that reads the residual stream (Chen et al., arXiv 2205.13535).

    That is the released code; in the paper the adapter reads the norm, as BottleneckConfig(placement="parallel") does.
    Faithful: no difference.
    """
    return StreamConfig(r=64, placement="ffn", activation="relu", scale=0.1, dropout=0.1)


def adapter_plus(faithful: bool) -> StreamConfig:
    """An adapter after the block, with a learned scale per channel (Steitz and Roth, arXiv 2406.06820).

    In training, the adapter of a sample is dropped at a rate of 0.1 in every block. Faithful: no difference.
    """
    return StreamConfig(r=8, placement="after", scale="channel", init="truncated", drop_path=0.1)


def bi_adaptformer(faithful: bool) -> BinaryConfig:
    """AdaptFormer of one bit a weight (Jie et al., arXiv 2307.16867), `scale` per task. Faithful: no difference."""
    return BinaryConfig(r=32, dropout=0.1)


def idat_sequential(faithful: bool) -> StreamConfig:
    """iDAT's "gist_seq_adapter" (arXiv 2403.15750): an adapter after the block. Faithful: projections N(0, 0.02^2)."""
    return StreamConfig(r=4, placement="after", scale=1.0, init="normal" if faithful else "zero_up")


def idat_adaptformer(faithful: bool) -> StreamConfig:
    """iDAT's "adaptformer": an adapter parallel to the FFN that reads the residual stream. Faithful: as above."""
    return StreamConfig(r=4, placement="ffn", init="normal" if faithful else "zero_up")


def idat_shared_parallel(faithful: bool) -> StreamConfig:
    """iDAT's "gist_shared_par_adapter": one adapter parallel to both attention and FFN. Faithful: as above."""
    return StreamConfig(r=4, placement="shared", init="normal" if faithful else "zero_up")


def convpass(faithful: bool) -> ConvpassConfig:
    """3x3 convolutions parallel to attention and FFN (Jie and Deng, arXiv 2207.07039).

    Faithful: the activation "quick_gelu", drop path 0.1 and a Xavier start, 2.4 times as large as ours at width 768.

    The authors choose `scale` and `conv_init` per task.
    """
    config = ConvpassConfig(r=8, activation="gelu", dropout=0.1)
    if faithful:
        return dataclasses.replace(config, activation="quick_gelu", init="xavier_zero_up", drop_path=0.1)
    return config


def rep_adapter(faithful: bool) -> RepAdapterConfig:
    """Linear adapters before attention and FFN (Luo et al., arXiv 2302.08106), `scale` per task.

    Faithful: a Xavier start, 2.4 times as large as ours at width 768.
    """
    return RepAdapterConfig(r=8, groups=2, dropout=0.1, init="xavier_zero_up" if faithful else "zero_up")


def fact(faithful: bool) -> FacTConfig:
    """FacT-TT (Jie and Deng, arXiv 2212.03145), `r` up to 16 and `scale` per task. Faithful: the same."""
    return FacTConfig(r=16, dropout=0.1)


def ssf(faithful: bool) -> SSFConfig:
    """Scales and shifts (Lian et al., arXiv 2210.08823), no change at first. Faithful: a random start."""
    return SSFConfig(init="normal" if faithful else "identity")


def vpt_shallow(faithful: bool) -> PromptConfig:
    """Prompts before the first block (Jia et al., arXiv 2203.12119), `length` per task. Faithful: no difference."""
    return PromptConfig(length=50, depth="shallow", dropout=0.1)


def vpt_deep(faithful: bool) -> PromptConfig:
    """Prompts of its own for each block; as above."""
    return PromptConfig(length=50, depth="deep", dropout=0.1)


PRESETS: dict[str, Callable[[bool], AdapterConfig]] = {
    make.__name__: make
    for make in (
        houlsby,
        pfeiffer,
        parallel,
        scaled_parallel,
        mam,
        adaptformer,
        adapter_plus,
        bi_adaptformer,
        idat_sequential,
        idat_adaptformer,
        idat_shared_parallel,
        convpass,
        rep_adapter,
        fact,
        ssf,
        vpt_shallow,
        vpt_deep,
    )
}
"""Makers of the presets, each called with `faithful`."""


def _faithful(config: BottleneckConfig) -> BottleneckConfig:
    return dataclasses.replace(config, activation="relu", norm="in", init="normal")
