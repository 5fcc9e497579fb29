"""Results in the forms of others: a Parquet file, the hub's `.eval_results`, and Every Eval Ever."""
