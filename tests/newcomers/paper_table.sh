#!/usr/bin/env bash
# A reader of a paper: which of its tables can be made again, what one says, what it takes, and the same commands on a stand-in.
set -eu

sparsebench reproduce
# One of them: published figures, needs, state, and the commands for a machine that has the models.
sparsebench reproduce v1-construction
