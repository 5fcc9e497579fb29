"""MPNet as the body of a text task: an attention of its own, with a bias by position that all blocks share."""

from typing import Any

from torch import nn

from ...prediction.feature_extractor import FeatureExtractor
from ...prediction.padding import Padded
from .bert import TextBody, Tokenize

# Shapes: B texts, T tokens of the longest of them, H heads.


class MPNetBody(TextBody):
    """Texts -> features (N, width) of an `MPNetModel` of transformers that was built without its pooler.

    Song et al., MPNet, arXiv 2004.09297, as sentence-transformers uses it: the mean over all tokens, not normalised, as
    in `TextBody`. MPNet has no segments, so that a pair is distinguished by its separators alone. Stages hand hidden
    states on and nothing else: each block looks up the bias (1, H, T, T) again that transformers looks up once.
    """

    def __init__(self, network: Any, tokenize: Tokenize) -> None:
        # Not TextBody's: the attention by products takes no bias, and MPNet's module cannot exchange its attention.
        FeatureExtractor.__init__(self)
        self.network, self.tokenize = network, tokenize
        self.width = network.config.hidden_size
        for module in network.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0

    def _embed(self, inputs: Padded) -> Padded:
        tokens = inputs.values[..., 0].long()
        return inputs._replace(values=self.network.embeddings(input_ids=tokens))

    def _block(self, block: nn.Module, inputs: Padded) -> Padded:
        from transformers.masking_utils import create_bidirectional_mask

        hidden, seen = inputs
        mask = create_bidirectional_mask(self.network.config, inputs_embeds=hidden, attention_mask=seen)
        bias = self.network.encoder.compute_position_bias(hidden[:1])
        values, *_ = block(hidden, mask, bias)
        return inputs._replace(values=values)
