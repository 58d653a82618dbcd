"""Recipes: one file per result of a paper, whose docstring has the command, the figure to expect and the time."""
