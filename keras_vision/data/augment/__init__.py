"""Random changes of training images: which part is shown (geometry), and in which colours."""
