"""Playing: the one place where environments, prompts and players meet."""
