"""A run on disk: layout, writing, liveness, reading, and SQL over all runs. No torch."""
