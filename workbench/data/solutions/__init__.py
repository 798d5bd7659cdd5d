"""Worked solutions as data: files of problems, teachers that rewrite responses, and what the reward model is trained on."""
