"""Training: warm-up by supervision, then online reinforcement learning."""
