"""Starting and stopping runs as processes of their own; a job is a run folder. No torch."""
