"""Tables, comparisons and claims."""
