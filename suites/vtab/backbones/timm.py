"""Any timm network: timm:NAME with random weights, timm:NAME@FILE with those of a safetensors or an official .npz file

timm:NAME:SIZE, timm:NAME@FILE:SIZE and timm:NAME:SIZE@FILE set the side of the images in pixels, where it is not the
network's own: position embeddings are interpolated, or those of the file, where it was trained at this size. Mean,
standard deviation, size and the arguments that the network is built with (`model_args`) are those of the `config.json`
that timm writes beside FILE; without one, those of the network in timm.
"""

from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import get_pretrained_cfg

from sparsebench.data.errors import WeightsError
from sparsebench.data.state_files import read_state

from ..body import VisionBody
from ..efficientnet import image_size
from ..official_npz import read_npz
from ..timm_config import CONFIG, Beside, config_beside

SOURCES = ()
DESCRIBERS = ("timm_*",)
RANDOM_WEIGHTS = True
NEEDS_ARGUMENT = True
SIZES = {"large": "small", "base": "small", "small": "tiny"}
"""The smaller of a pair, by the word that names of networks have for a size."""
LETTERS = {"small": "S", "tiny": "Ti"}
"""As the names of the official files say it."""
NOT_BUILT = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What constructors of timm raise for arguments that they do not take."""


def load(generator: torch.Generator, argument: str | None = None) -> VisionBody:
    """The network at its own image size, or the given one.

    Raises ValueError for an unknown name, a file that does not fit, one beside it that cannot be read or says what timm
    cannot build, and a size that the network cannot have.
    """
    if not argument:
        raise ValueError("backbone 'timm' needs a network: write timm:NAME, for instance timm:vit_small_patch16_224")
    name, size, file = _parts(argument)
    if not timm.is_model(name):
        near = timm.list_models(f"*{name.partition('.')[0][:12]}*")[:3]
        raise ValueError(f"unknown timm network {name!r}" + (f"; near: {', '.join(near)}" if near else ""))
    _check_tag(name)
    pixels = image_size(size) if size else None
    beside = config_beside(Path(file), name, pixels) if file else Beside()
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(torch.randint(2**62, (), generator=generator).item())
        network = _build(name, beside)
    if file:
        _read_at(network, name, Path(file), beside.size or pixels)
        pixels = pixels or beside.size
    network.reset_classifier(0)
    if pixels is not None:
        _resize(network, name, pixels)
    network.pretrained_cfg = {**network.pretrained_cfg, **beside.fields}
    return VisionBody(network, pixels, beside.said)


def _check_tag(name: str) -> None:
    """What stands behind a point in the name says whose mean, size and interpolation count. Raises ValueError."""
    network, point, tag = name.partition(".")
    if not point:
        return
    try:
        get_pretrained_cfg(name, allow_unregistered=False)
    except RuntimeError:
        known = [one.partition(".")[2] for one in timm.list_pretrained(f"{network}.*")]
        said = f"it has {', '.join(known)}" if known else "it has none"
        raise ValueError(f"timm:{network} has no weights called {tag!r}: {said}; or leave .{tag} out") from None


def _build(name: str, beside: Beside) -> Any:
    """With random weights. Raises `WeightsError` for arguments that the installed timm does not take."""
    try:
        return timm.create_model(name, **beside.arguments)
    except NOT_BUILT as error:
        if not beside.arguments:
            raise
        asked = ", ".join(f"{key}={value!r}" for key, value in beside.arguments.items())
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise WeightsError(
            f"timm cannot build {name} as {CONFIG} beside the weights says, with {asked}: {reason}"
        ) from error


def smaller(argument: str) -> str:
    """The argument of the network that goes beside this one as the smaller of a pair: a teacher, say.

    Of a plain ViT the next smaller size, "vit_small_..." for "vit_base_...", but small for a large one, the pairs of
    iDAT. Where this one has a file, so has the other: the one file beside it whose name says that size ("S_16" for
    "B_16" or "L_16", or "small"), of the same kind. Raises ValueError where there is no such network or file.
    """
    name, size, file = _parts(argument)
    own = next((word for word in SIZES if f"_{word}_" in name), "")
    other = name.replace(f"_{own}_", f"_{SIZES.get(own, own)}_")
    if not own or not timm.is_model(other):
        raise ValueError(f"timm:{name} has no smaller network to go beside it: say which")
    if file:
        other = f"{other}@{_file_of(Path(file), SIZES[own])}"
    return f"{other}:{size}" if size else other


def _file_of(beside: Path, size: str) -> Path:
    """The weights of the network of another size, in the same folder. Raises ValueError unless there is one file."""
    patterns = (f"*{size}*{beside.suffix}", f"*{LETTERS[size]}_16*{beside.suffix}")
    found = sorted({file for pattern in patterns for file in beside.parent.glob(pattern) if file != beside})
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise ValueError(
            f"beside {beside} there must be one {beside.suffix} file called {size} or {LETTERS[size]}_16, the weights "
            f"of the smaller network: there is {names}; or say which backbone"
        )
    return found[0]


def _parts(argument: str) -> tuple[str, str, str]:
    """Name, size and file; the size may stand behind the name or behind the file. Raises ValueError for two sizes."""
    network, _, file = argument.partition("@")
    name, _, size = network.partition(":")
    before, colon, last = file.rpartition(":")
    if colon and not Path(file).is_file():  # a colon may also be part of the file's name
        if size:
            raise ValueError(f"timm:{argument} has two image sizes, {size} and {last}: leave one out")
        return name, last, before
    return name, size, file


def _resize(network: Any, name: str, pixels: int) -> None:
    """Make a network with embedded positions or windows ready for another image size; a CNN takes any size.

    Raises ValueError for a size of which it would leave out a border that fills no patch.
    """
    for part in network.children():
        side = part.feat_ratio() if hasattr(part, "feat_ratio") else 1
        if pixels % side and not getattr(part, "dynamic_img_pad", False):
            raise ValueError(
                f"timm:{name} cuts images into patches of {side} pixels and would not see all of {pixels}: write a "
                f"multiple of {side}"
            )
    own = network.pretrained_cfg["input_size"][-1]
    if hasattr(network, "set_input_size"):
        network.set_input_size(img_size=(pixels, pixels))
    elif network.pretrained_cfg.get("fixed_input_size") and pixels != own:
        raise ValueError(
            f"timm:{name} is made for {own} pixels and cannot be resized to {pixels}: write {own} or no size"
        )


def _read_at(network: Any, name: str, file: Path, pixels: int | None) -> None:
    """Load weights that were trained at the network's own image size, or at this one.

    Raises `WeightsError` for those of another network.
    """
    try:
        _read(network, file)
    except WeightsError:
        if pixels is None:
            raise
        _resize(network, name, pixels)
        _read(network, file)


def _read(network: Any, file: Path) -> None:
    """Load weights; a file without the head, or with one of other size, is welcome, since the head goes.

    Raises `WeightsError`, which is a `ValueError`.
    """
    if not file.is_file():
        raise ValueError(
            f"no file {file}: write timm:NAME@FILE or timm:NAME@FILE:SIZE with a safetensors file or an official .npz"
        )
    classifiers = network.get_classifier()
    if not isinstance(classifiers, tuple):  # a distilled DeiT has two
        classifiers = (classifiers,)
    ours = [name for name, module in network.named_modules() if module in classifiers]
    head = tuple(f"{name}." for name in ours)
    if file.suffix == ".npz":
        read_npz(network, file, without=head)
    else:
        network.load_state_dict(read_state(file, network.state_dict(), without=head), strict=False)
