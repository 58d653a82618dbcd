"""The fully-connected CRF of DeepLab (section 4.2): Krähenbühl & Koltun, 2011, on the lattice of Adams et al., 2010."""
