"""Judging a policy: trajectories on chosen start states, with intervals."""
