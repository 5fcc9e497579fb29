"""Constrained decoding for bonds that name the elements of both ends, aromatic ones among them (arXiv 2402.02464).

Faithful tokens know aromatic bonds but neither charges nor hydrogens, so whether a ring is aromatic shows only when it
is finished, and whether RDKit finds a Kekule form depends on hydrogens that are not written. Constraining each step so
that this must come out well would forbid rings that are legal once they are closed. So the steps check what can
never be mended, and the rest is mended at the end:

- in each step both atoms must stay within the highest valence that RDKit accepts, where an aromatic bond counts 2 half
  units, as much as it takes at least (1.5 would forbid furan, N-methylpyrrole and the carbonyl carbon of caffeine);
- on finishing (`aromatic`), aromatic bonds outside an all-aromatic ring become single. If RDKit does not find a Kekule
  form of the others, as for pyrrole, they become single and double bonds: no atom gets more than one new double bond,
  and only if it has the valence, hydrogens fill up the others. All of them single would do, so this cannot fail.

A molecule without charges that RDKit accepts is legal at every step. Of 5,031 MOSES molecules, read from their true
tokens, 100 % are then valid and 97.5 % the same molecule (2 % are another tautomer), against 89.1 % and 88.6 % as
written. The first prediction cannot be a stop, as in the other rules, unless no bond is possible.

The legal edges are scored jointly: log-probability of the class + `scale` times the cosines of both ends, those of a
new end being 1/2, the threshold of the strict rules. The best edge is therefore the strict one wherever that is legal.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..model.heads import Predictions
from ..model.losses import slots
from ..tokens.vocabulary import STOP_CLASS, Vocabulary
from .edge_sampling import EdgeLogits, EdgeSampler, at
from .strict import NO_LIMIT, THRESHOLD, RepairingMolecules
from .valence import Edge, max_valence

# Shapes: B molecules, R of them, C bond classes (0 is stop), A present atoms at most, E = A + 1 ends.

HALVES = {1: 2, 1.5: 2, 2: 4, 3: 6}
AT_ONCE = 1 << 22
"""Edges of which the scores are in memory together."""


class ConstrainedMolecules(RepairingMolecules):
    """B molecules that grow and can be made valid at every step."""

    renames_first = True

    def __init__(self, vocabulary: Vocabulary, first_atom: Tensor, max_atoms: int, scale: float) -> None:
        super().__init__(vocabulary, first_atom, max_atoms)
        halves = [0]
        for edge in vocabulary.edges:
            halves.append(HALVES.get(edge.order, 3 * NO_LIMIT))  # a bond of another order fits no atom
        valences = [max_valence(*node) for node in vocabulary.nodes]
        self.halves = torch.tensor(halves, device=first_atom.device)
        self.valences = torch.tensor(valences, device=first_atom.device)
        self.scale = scale

    def repair(self, predicted: Predictions, edge: Edge, sampler: EdgeSampler, rows: Tensor) -> tuple[Edge, Tensor]:
        """The best legal edge, or one drawn from all legal ones; a stop where there is none."""
        most = self.most
        logits = self._logits(predicted, most)
        size = max(1, AT_ONCE // (len(self.ends) * most * (most + 1)))
        repaired = [sampler.repair(logits, self, part)[0] for part in rows.split(size)]
        bond, begin, end, _ = (torch.cat(parts) for parts in zip(*repaired, strict=True))
        if self.empty:
            self.atoms[rows, 0] = self.name_first(self.predicted[rows], bond)
        atom = self.other_end(self.atoms[rows, begin], bond)
        return Edge(bond, begin, end, atom), at(logits.bond[rows].log_softmax(-1), bond)

    def _logits(self, predicted: Predictions, most: int) -> EdgeLogits:
        """Logits of the class and both ends; a new end stands at the threshold of the strict rules, and the atom
        follows.
        """
        begin_BA = slots(predicted.begin[:, :most].float(), self.present, self.scale)
        end_BA = slots(predicted.end[:, :most].float(), self.present, self.scale)
        end_BE = F.pad(end_BA, (0, 1), value=-torch.inf)
        end_BE = end_BE.scatter(1, self.present.unsqueeze(1), self.scale * THRESHOLD)
        return EdgeLogits(predicted.bond.float(), begin_BA, end_BE, end_BE.new_zeros(len(end_BE), 1))

    def have_valence(self, edge: Edge) -> Tensor:
        """Whether both atoms, new ones too, have the valence for each bond: (B,) bool."""
        bond, begin, end, atom = edge
        row = torch.arange(len(bond), device=bond.device)
        place = end.clamp(max=self.max_atoms - 1)
        used_at_end = self.used[row, place] * (end < self.present)
        begin_has_room = self.has_room(self.used[row, begin], self.atoms[row, begin], bond)
        return begin_has_room & self.has_room(used_at_end, atom, bond)

    def has_room(self, used: Tensor, atom: Tensor, bond: Tensor) -> Tensor:
        """Whether atoms of class `atom` that have `used` so many half units have room for a bond; any shapes that go
        together."""
        return (used + self.halves[bond]) // 2 <= self.valences[atom]

    def mask(self, rows: Tensor, most: int) -> Tensor:
        """Which (bond class, begin, end) are legal in the molecules `rows` (R,): (R, C, A, E) bool, A = `most` being at
        least the number of their present atoms. Stop is excluded."""
        present_R1 = self.present[rows].unsqueeze(1)
        end_E = torch.arange(most + 1, device=rows.device)
        begin_A = end_E[:-1]
        class_C1 = torch.arange(len(self.ends), device=rows.device).unsqueeze(1)
        low_C1, high_C1 = self.ends.unsqueeze(1).unbind(-1)

        # Atoms at which a bond of each class can end, as its lighter and as its heavier element.
        atom_RCA = self.atoms[rows, None, :most]
        if self.empty:  # the first atom takes an element of whatever bond comes
            atom_RCA = self.name_first(self.predicted[rows, None, None], class_C1)
        open_RCA = (begin_A < present_R1).unsqueeze(1)
        open_RCA = open_RCA & self.has_room(self.used[rows, None, :most], atom_RCA, class_C1)
        light_RCA = open_RCA & (atom_RCA == low_C1)
        heavy_RCA = open_RCA & (atom_RCA == high_C1)

        # Bonds between two atoms that are there, one of either kind and not joined yet.
        old_RCAA = (light_RCA.unsqueeze(3) & heavy_RCA.unsqueeze(2)) | (heavy_RCA.unsqueeze(3) & light_RCA.unsqueeze(2))
        apart_RAA = ~self.joined[rows, :most, :most] & (begin_A != begin_A.unsqueeze(1))

        # Bonds to a new atom of the other kind, which must have room for it.
        new_RE = (end_E == present_R1) & (end_E < self.max_atoms)
        room_low_C1 = self.has_room(torch.zeros_like(low_C1), low_C1, class_C1)
        room_high_C1 = self.has_room(torch.zeros_like(high_C1), high_C1, class_C1)
        adds_atom_RCA = (light_RCA & room_high_C1) | (heavy_RCA & room_low_C1)

        legal_RCAE = F.pad(old_RCAA & apart_RAA.unsqueeze(1), (0, 1))
        legal_RCAE = legal_RCAE | (adds_atom_RCA.unsqueeze(3) & new_RE[:, None, None])
        legal_RCAE[:, STOP_CLASS] = False
        return legal_RCAE

    def allowed_new_atoms(self) -> Tensor:
        """The class of a new atom follows from the bond: (C, 1) bool, all true."""
        return torch.ones_like(self.halves, dtype=torch.bool).unsqueeze(1)
