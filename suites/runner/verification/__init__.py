"""`sparsebench verify`: run the cell of a record again, and say whether it gives what the record says."""
