"""A prior over graph words: what words molecules have, so that new ones are drawn without asking for anything.

A mixture of C normal distributions in the R directions in which the words vary most (their principal components), each
with a covariance of its own, and independent noise of what is left in every number (Ghosh et al., "From Variational to
Deterministic Autoencoders", arXiv 1903.12436, section 4: density estimation after the training). Only the first W words
are drawn; the decoder, which has learned to write from fewer words than K, adds what these do not say.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import ModelError, optional
from .configuration import GraphsGPTConfig

# Shapes: M molecules, W words, D width, N = W * D numbers, R directions, C components of the mixture.


class WordPrior(nn.Module):
    """What is drawn for words; its numbers are buffers, which no training moves. Made by `fit_prior`.

    `config.prior` says its sizes: "words" W, "directions" R and "components" C.
    """

    mean: Tensor
    directions: Tensor
    rest: Tensor
    weights: Tensor
    centres: Tensor
    factors: Tensor

    def __init__(self, config: GraphsGPTConfig) -> None:
        super().__init__()
        assert config.prior is not None
        words, rank, components = (config.prior[name] for name in ("words", "directions", "components"))
        size = words * config.hidden_size
        self.words = words
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("directions", torch.zeros(rank, size))
        self.register_buffer("rest", torch.zeros(size))
        self.register_buffer("weights", torch.ones(components) / components)
        self.register_buffer("centres", torch.zeros(components, rank))
        self.register_buffer("factors", torch.zeros(components, rank, rank))

    @torch.no_grad()
    def draw(self, molecules: int, generator: torch.Generator | None = None) -> Tensor:
        """Words of new molecules.

        Args:
            molecules: how many, M.
            generator: on the CPU; by default torch's own.

        Returns:
            (M, W, D), float32 on the CPU, whatever the model computes in: the same draws everywhere.
        """
        weights, centres, factors = (part.float().cpu() for part in (self.weights, self.centres, self.factors))
        chosen_M = weights.multinomial(max(1, molecules), replacement=True, generator=generator)[:molecules]
        normal_MR = torch.randn(molecules, centres.shape[1], generator=generator)
        inner_MR = centres[chosen_M] + torch.einsum("mrs,ms->mr", factors[chosen_M], normal_MR)
        noise_MN = torch.randn(molecules, len(self.mean), generator=generator)
        flat_MN = (
            self.mean.float().cpu() + inner_MR @ self.directions.float().cpu() + self.rest.float().cpu() * noise_MN
        )
        return flat_MN.reshape(molecules, self.words, len(self.mean) // self.words)


def fit_prior(
    config: GraphsGPTConfig, words: Tensor, *, directions: int = 128, components: int = 1, seed: int = 0
) -> WordPrior:
    """Fit a prior to the words of molecules.

    Args:
        config: of the model; the sizes of the prior are noted in it.
        words: (M, W, D), the first W words of M molecules.
        directions: R, at most W * D.
        components: C.
        seed: of the search for the components.

    Returns:
        The prior, to be set as `model.prior`.

    Raises:
        ModelError: not enough molecules for so many directions and components, or words that are not finite.
    """
    with optional():
        from sklearn.decomposition import PCA
        from sklearn.mixture import GaussianMixture

    flat = words.flatten(1).float().numpy()
    rank = min(directions, flat.shape[1])
    if len(flat) < 2 * rank * components or not np.isfinite(flat).all():
        raise ModelError(
            f"{len(flat)} molecules are too few for {components} components in {rank} directions, or some have no words"
        )
    inner = PCA(rank, random_state=seed)
    reduced = inner.fit_transform(flat)
    mixture = GaussianMixture(components, random_state=seed, reg_covar=1e-6, max_iter=50).fit(reduced)
    config.prior = {"words": words.shape[1], "directions": rank, "components": components}
    prior = WordPrior(config)
    found = {
        "mean": inner.mean_,
        "directions": inner.components_,
        "rest": (flat - inner.inverse_transform(reduced)).std(0),
        "weights": mixture.weights_,
        "centres": mixture.means_,
        "factors": np.linalg.cholesky(np.asarray(mixture.covariances_)),
    }
    prior.load_state_dict({name: torch.as_tensor(value, dtype=torch.float32) for name, value in found.items()})
    return prior
