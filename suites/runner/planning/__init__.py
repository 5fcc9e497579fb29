"""From a profile to cells, and what is already done of them."""
