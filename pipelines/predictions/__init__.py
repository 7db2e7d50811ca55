"""What a model answers about pictures, of which there may be tens of thousands.

`pictures` finds them, `answerers` are who is asked, `engine` asks, `tables` writes the answers down
and draws them. Nothing here prints, and memory does not grow with the number of pictures.
"""
