"""The speed cells: ours timed beside named peers. The wheel has them as `sparsebench.speed`; `sparsebench speed` runs them."""
