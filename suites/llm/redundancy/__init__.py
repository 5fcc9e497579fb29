"""How much of a mixture can go, said before anything goes: measures of the uncut mixture against what REAP costs it."""
