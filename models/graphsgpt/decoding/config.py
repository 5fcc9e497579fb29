"""How to decode, and what comes out of it (arXiv 2402.02464, section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from rdkit import Chem

from ...errors import ModelError, check_choice
from ..model.modeling import GraphsGPT
from ..tokens.batch import MoleculeTokens
from ..tokens.vocabulary import Vocabulary

Rules = Literal["strict", "flexible"]
Status = Literal["complete", "truncated", "invalid"]


@dataclass(frozen=True, kw_only=True)
class DecodingConfig:
    """How to decode.

    `temperature` 0 takes the most likely class, end and atom; above, each is drawn, from the `top_k` most likely if
    given. `constrained`: an edge that the molecule does not allow is replaced by one that it does; without it a
    molecule ends as "invalid" where an edge repeats a bond, ends where it begins or exceeds the atoms, and valences are
    not looked after. `max_atoms`, `max_edges` cut a molecule short.

    With a vocabulary in faithful mode only the class of a bond is drawn, and constrained decoding ends with a repair of
    the aromatic bonds (`constrained`). Without constraints these are the published choices: `rules` "strict" ends a
    molecule at the first edge that does not fit, "flexible" looks for another one (`flexible`); `valence_check` has the
    rules look after valences too (`strict`); `fix_aromatic` makes aromatic bonds outside a ring single on finishing,
    and a molecule that RDKit then does not sanitise "invalid" (`aromatic`).

    Raises `ModelError` for values that cannot work, and for published choices with `constrained`.
    """

    constrained: bool = True
    temperature: float = 0.0
    top_k: int | None = None
    max_atoms: int = 128
    max_edges: int = 256
    rules: Rules = "strict"
    valence_check: bool = False
    fix_aromatic: bool = False

    def __post_init__(self) -> None:
        top_k = 1 if self.top_k is None else self.top_k
        if self.temperature < 0 or min(self.max_atoms, self.max_edges, top_k) < 1:
            raise ModelError(f"{self}: the temperature must not be negative, limits and top_k at least 1")
        check_choice("rules", self.rules, get_args(Rules))
        chosen = self.faithful_choices
        if self.constrained and chosen:
            raise ModelError(
                f"{chosen} has no meaning in constrained decoding, which repairs every edge and aromatic bond: "
                "leave it out, or use constrained=False"
            )

    @property
    def faithful_choices(self) -> str:
        """The choices of the published code that are not at their defaults, as text; empty if there is none."""
        chosen = {"rules": self.rules != "strict", "valence_check": self.valence_check}
        chosen |= {"fix_aromatic": self.fix_aromatic}
        return ", ".join(f"{name}={getattr(self, name)!r}" for name, is_chosen in chosen.items() if is_chosen)


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A molecule as tokens (4, L), its log-likelihood given the words, and how it ended.

    `illegal`: edges that were proposed and not allowed, repaired if the decoding was constrained or flexible, and
    bonds written as aromatic that are not aromatic in `molecule`. "complete" means that the model said stop, or had no
    legal edge left; "truncated" that a limit was reached.

    `molecule`: the sanitised molecule, whose atoms have the tokens' node ids. Faithful tokens cannot say what a repair
    of aromatic bonds changed, so it is there in faithful mode where there was one: constrained or with `fix_aromatic`,
    unless the molecule is "invalid".
    """

    tokens: MoleculeTokens
    log_prob: float
    status: Status
    illegal: int
    molecule: Chem.Mol | None = None


def check(model: GraphsGPT, vocabulary: Vocabulary, decoding: DecodingConfig) -> None:
    """Raise `ModelError` where model, vocabulary and choices do not go together."""
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
