"""A BERT-like encoder as the body of a text task: mean over the last hidden states of a text's tokens."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sparsebench.data.labelled.table import Text
from sparsebench.models.anatomy import Anatomy, describe, register_describer
from sparsebench.models.attention.fast_attention import use_product_attention

from ...prediction.feature_extractor import FeatureExtractor
from ...prediction.padding import Padded, pad

# Shapes: B texts, T tokens of the longest of them, D columns.

LENGTH = 128
"""Tokens that are read of a text or a pair, the special ones included; the rest is cut off."""

Tokenize = Callable[[Sequence[Text]], list[Tensor]]
"""Token numbers and segment numbers, int32 (tokens, 2), of each text."""


def pretrained_network(network_class: Any, folder: str) -> Any:
    """An encoder of transformers with the weights of a folder; its pooler, which nothing uses, is not built."""
    from safetensors.torch import load_file

    network = network_class(network_class.config_class.from_pretrained(folder), add_pooling_layer=False)
    weights = load_file(Path(folder) / "model.safetensors")
    network.load_state_dict({name: weights[name] for name in network.state_dict()})
    return network.eval()


class TextBody(FeatureExtractor):
    """Texts -> features (N, width) of a BERT of transformers that was built without its pooler.

    The feature is the mean over all tokens, special ones included, as sentence-transformers trains it (Reimers and
    Gurevych, arXiv 1908.10084, section 3); the vector is not normalised. Dropout is switched off: the frozen blocks
    then give the same in every epoch and are computed once. `tokenize` is a function of a module, so that copies of
    the body share it.
    """

    unit = "text"
    padded = True

    def __init__(self, network: Any, tokenize: Tokenize) -> None:
        super().__init__()
        self.network, self.tokenize = network, tokenize
        self.width = network.config.hidden_size
        use_product_attention(network)
        for module in network.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0

    def encode(self, raw: Sequence[Text]) -> list[Tensor]:
        """Token and segment numbers, int32 (tokens, 2), of each text or pair."""
        return self.tokenize(raw)

    def collate(self, items: list[Tensor]) -> Padded:
        """Rows (tokens, D) as one batch, as long as the longest of them."""
        return pad(items)

    def forward(self, inputs: Padded) -> Tensor:
        """Features of shape (B, width) from token and segment numbers (B, T, 2)."""
        result: Any = inputs
        for stage in self.stages():
            result = stage(result)
        return result

    def stages(self) -> Sequence[Callable[[Any], Any]]:
        """Embeddings, blocks and the mean; hidden states (B, T, width) go from one to the next with their mask."""
        return (self._embed, *(partial(self._block, block) for block in self.network.encoder.layer), self._pool)

    def split(self, result: Any) -> list[Tensor]:
        """Hidden states (tokens, width) or features (width,) of each text, without padding."""
        return list(result) if isinstance(result, Tensor) else result.rows()

    def join(self, items: list[Tensor]) -> Any:
        """The inverse of `split`, up to the amount of padding."""
        return torch.stack(items) if items[0].ndim == 1 else self.collate(items)

    def _embed(self, inputs: Padded) -> Padded:
        tokens, segments = inputs.values.long().unbind(-1)
        return inputs._replace(values=self.network.embeddings(input_ids=tokens, token_type_ids=segments))

    def _block(self, block: nn.Module, inputs: Padded) -> Padded:
        from transformers.masking_utils import create_bidirectional_mask

        hidden, seen = inputs
        mask = create_bidirectional_mask(self.network.config, inputs_embeds=hidden, attention_mask=seen)
        return inputs._replace(values=block(hidden, mask))

    def _pool(self, inputs: Padded) -> Tensor:
        weights = inputs.attention_mask.float().unsqueeze(-1)
        return (inputs.values.float() * weights).sum(1) / weights.sum(1).clamp(min=1)


def remembered(memory: dict[Text, Tensor], tokenizer: Any, texts: Sequence[Text]) -> list[Tensor]:
    """Tokens of each text, by a fast tokenizer of transformers; each text is tokenised once for each `memory`.

    What is given is a copy, so that nobody edits what is remembered.
    """
    new = [text for text in dict.fromkeys(texts) if text not in memory]
    for kind in (str, tuple):  # a call of the tokenizer takes either texts or pairs
        memory.update(_tokens(tokenizer, [text for text in new if isinstance(text, kind)]))
    return [memory[text].clone() for text in texts]


def _tokens(tokenizer: Any, texts: list[Any]) -> dict[Text, Tensor]:
    if not texts:
        return {}
    parts = (texts,) if isinstance(texts[0], str) else tuple(map(list, zip(*texts, strict=True)))
    found = tokenizer(*parts, truncation=True, max_length=LENGTH, return_token_type_ids=True)
    rows = zip(texts, found["input_ids"], found["token_type_ids"], strict=True)
    return {text: torch.tensor([ids, segments], dtype=torch.int32).T.contiguous() for text, ids, segments in rows}


def describe_body(body: Any) -> Anatomy:
    """The anatomy of a `TextBody`: that of the network inside."""
    return replace(describe(body.network), model=body)


register_describer(TextBody, describe_body)
