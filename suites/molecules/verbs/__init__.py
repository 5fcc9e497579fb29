"""What `sparsebench molecules encode | generate | score` do, as functions."""
