"""Godec et al. (2019), Figures 1 and 3, as workflows that Orange offers among its examples."""
