"""Warm-up data: teachers, behaviours, negative examples and the SFT sets."""
