"""One file per paper: the stages as functions that a notebook, the command line and a job all call."""
