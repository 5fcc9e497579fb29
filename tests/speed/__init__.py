"""The speed cells: ours timed beside named peers, by `sparsebench speed`. The wheel has them as `sparsebench.speed`."""
