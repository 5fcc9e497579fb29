"""What the language tasks score, and the comparison that keeps it out of what is trained on."""
