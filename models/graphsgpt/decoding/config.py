"""How to decode (arXiv 2402.02464, section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ...errors import ModelError, check_choice
from ..model.modeling import GraphsGPT
from ..tokens.batch import IS_NODE, MoleculeTokens
from ..tokens.vocabulary import Vocabulary

Rules = Literal["strict", "flexible"]


@dataclass(frozen=True, kw_only=True)
class DecodingConfig:
    """How to decode.

    `temperature` 0 takes the most likely class, end and atom; above, each is drawn, from the `top_k` most likely if
    given. `constrained`: an edge that the molecule does not allow is replaced by one that it does; without it a
    molecule ends as "invalid" where an edge repeats a bond, ends where it begins or exceeds the atoms, and valences are
    not checked. `max_atoms`, `max_edges` cut a molecule short. `redraws`: how often the pipeline draws a molecule again
    that has a replaced edge, is "invalid" or was cut short, before it takes it as it is; 0 repairs at once. A repair
    changes what the model would have written: on the packaged weights it costs 0.8 of FCD at 1,000 molecules.

    With a vocabulary in faithful mode only the class of a bond is drawn, and constrained decoding ends with a repair of
    the aromatic bonds (`constrained`). Without constraints these are the published choices: `rules` "strict" ends a
    molecule at the first edge that does not fit, "flexible" looks for another one (`flexible`); `valence_check` has the
    rules check valences too (`strict`); `fix_aromatic` makes aromatic bonds outside a ring single on finishing,
    and a molecule that RDKit then does not sanitise "invalid" (`aromatic`).

    Raises `ModelError` for values that cannot work, `redraws` at temperature 0, which would give the same molecule
    again, and published choices with `constrained`.
    """

    constrained: bool = True
    temperature: float = 0.0
    top_k: int | None = None
    max_atoms: int = 128
    max_edges: int = 256
    redraws: int = 0
    rules: Rules = "strict"
    valence_check: bool = False
    fix_aromatic: bool = False

    def __post_init__(self) -> None:
        top_k = 1 if self.top_k is None else self.top_k
        if self.temperature < 0 or min(self.max_atoms, self.max_edges, top_k) < 1:
            raise ModelError(f"{self}: the temperature must not be negative, limits and top_k at least 1")
        if self.redraws < 0 or (self.redraws and not self.temperature):
            raise ModelError(f"redraws={self.redraws} must be 0 or more, and 0 at temperature 0, which draws nothing")
        check_choice("rules", self.rules, get_args(Rules))
        chosen = self.faithful_choices
        if self.constrained and chosen:
            raise ModelError(
                f"{chosen} has no meaning in constrained decoding, which repairs every edge and aromatic bond: "
                "leave it out, or use constrained=False"
            )

    @property
    def repairs(self) -> bool:
        """Whether an edge that the molecule does not allow is replaced."""
        return self.constrained or self.rules == "flexible"

    @property
    def faithful_choices(self) -> str:
        """The choices of the published code that are not at their defaults, as text; empty if there is none."""
        defaults = {"rules": "strict", "valence_check": False, "fix_aromatic": False}
        chosen = []
        for name, default in defaults.items():
            if getattr(self, name) != default:
                chosen.append(f"{name}={getattr(self, name)!r}")
        return ", ".join(chosen)


GREEDY = DecodingConfig()
"""How words of molecules are decoded."""
SAMPLED = DecodingConfig(temperature=0.9, redraws=10)
"""How new molecules are sampled. Of 0.8, 0.85 and 0.9 this temperature has the lowest FCD to 10,000 molecules of the
training part of MOSES, which has no validation part (`python -m sparsebench.suites.molecules.pretraining.temperature`).
"""


def check(model: GraphsGPT, vocabulary: Vocabulary, decoding: DecodingConfig, prefix: MoleculeTokens | None) -> None:
    """Raise `ModelError` where model, vocabulary, choices and the tokens to begin with do not go together."""
    config = model.config
    if (len(vocabulary.nodes), len(vocabulary.edges)) != (config.num_atoms, config.num_bonds):
        raise ModelError(
            f"a vocabulary of {len(vocabulary.nodes)} atoms and {len(vocabulary.edges)} bonds is not that of a model "
            f"with {config.num_atoms} and {config.num_bonds}"
        )
    if config.predict_atoms != (vocabulary.mode == "improved"):
        raise ModelError(
            f"predict_atoms={config.predict_atoms} does not go with a vocabulary in {vocabulary.mode} mode"
        )
    chosen = decoding.faithful_choices
    if vocabulary.mode == "improved" and chosen:
        raise ModelError(
            f"{chosen} has no meaning with a vocabulary in improved mode: the published rules need bonds "
            "that name the elements of both ends (Vocabulary.faithful)"
        )
    if prefix is not None:
        _check_prefix(prefix, vocabulary, min(decoding.max_atoms, config.max_atoms), decoding.max_edges)


def _check_prefix(prefix: MoleculeTokens, vocabulary: Vocabulary, max_atoms: int, max_edges: int) -> None:
    if vocabulary.mode != "improved":
        raise ModelError("a prefix needs a vocabulary in improved mode")
    atoms = int(prefix[IS_NODE].sum())
    edges = prefix.shape[1] - atoms
    if atoms == 0:
        raise ModelError("the prefix has no atom: leave it out")
    if atoms > max_atoms or edges > max_edges:
        raise ModelError(
            f"the prefix (or scaffold) has {atoms} atoms and {edges} edges, and decoding ends at "
            f"max_atoms={max_atoms} and max_edges={max_edges}"
        )
