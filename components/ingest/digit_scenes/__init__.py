"""Digit scenes: MNIST's digits on textured ground, with the box and the mask of each."""
