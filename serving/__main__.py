"""`python -m serving`: the embedded server, with tensorflow_model_server's flag names."""

from serving.command import main

main()
