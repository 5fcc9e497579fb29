"""Which parameters of a dynamic model stay dynamic: scores, Iterative Mode Partition, the deployed form, its files."""
