"""From predictions to molecules."""
