#!/usr/bin/env bash
# A user of a cluster: one command, as often as he likes, on a shared folder; then the plan of a training on eight GPUs.
set -eu

# On a cluster each of these is a job of its own, on any machine that sees the folder; here they are two processes.
sparsebench vtab run -p smoke -m linear_probe -m lora --executor leases --workers 1 --out shared &
sparsebench vtab run -p smoke -m linear_probe -m lora --executor leases --workers 1 --out shared
wait
sparsebench report shared

# Parameters, memory of a GPU, steps and operations, reckoned from shapes; nothing is loaded.
python -m sparsebench.suites.llm.cluster plan v1_8gpu --preset llama_moe_v1_2of8
