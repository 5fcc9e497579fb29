#!/usr/bin/env bash
# A reader of a paper: which of its tables can be made again, what one of them says, what it takes, and ours beside it.
set -eu

sparsebench reproduce
# Its published figures, needs and state, the commands for a machine that has the models, and figures of ours.
sparsebench reproduce v1-construction
