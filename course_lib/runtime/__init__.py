"""Where code runs: what this machine has, and what is missing from it."""
