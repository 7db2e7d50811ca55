"""Rendered rooms: pictures of made scenes with their exact depths, normals and classes."""
