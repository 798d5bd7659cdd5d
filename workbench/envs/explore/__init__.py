"""AutoExplore: find the file that answers a question, in a repository of which one folder is seen at a time."""
