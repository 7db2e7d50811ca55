"""What tasks share that answer with a value, or a vector, for each pixel of a picture.

`arrays` is NumPy's part, `graph` TensorFlow's, `pages` the report's.
"""
