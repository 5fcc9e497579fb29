"""Neural modules and transforms of whole models. Knows no data set, no suite and no result format."""
