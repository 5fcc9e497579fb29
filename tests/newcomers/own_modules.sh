#!/usr/bin/env bash
# A researcher: an adapter and a router of her own, tested, and compared with a probe in all three suites.
set -eu

sparsebench new adapter channel_shift
sparsebench new router distance

# What she changes in her editor: a shift of each channel, not a factor; distances, not cosines.
sed -i -e 's/a learned factor for every channel/a learned shift of every channel/' \
    -e 's/y = y \* (1 + self.limit \* self.gate.tanh()).to(y.dtype)/y = y + (self.limit * self.gate.tanh()).to(y.dtype)/' \
    channel_shift/channel_shift.py
sed -i -e 's/logits are the cosine of a token and a row/logits fall with the distance of a token from a row/' \
    -e 's/return self.factor.*/return -self.factor.to(x_TD.dtype) * torch.cdist(x_TD, weight_ND)/' \
    -e '/^import torch.nn.functional/d' distance/distance.py
sed -i -e 's/test_logits_are_cosines/test_logits_are_distances/' \
    -e 's/8 \* torch.tensor(.*))$/-8 * torch.tensor([[4.0, 25.01], [5.0, 1.81]]).sqrt())/' distance/tests/test_distance.py

pip install --quiet ./channel_shift ./distance
python -m pytest -q distance
sparsebench list
sparsebench check channel_shift distance
sparsebench run -p smoke -m linear_probe -m channel_shift -m distance_moe --seeds 1 -o mine
sparsebench report mine
