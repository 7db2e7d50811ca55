"""Nets as the papers print them, of which only the layers, shapes and counts are asked."""

import pytest


@pytest.fixture(scope="session")
def outline():
    """Builds a net without values for its weights, which for the larger ones takes seconds and
    gigabytes."""
    import keras

    def build(net, *arguments, **named):
        with keras.StatelessScope(initialize_variables=False):
            model = net(*arguments, **named)
        # Else Keras makes up for the values at the next occasion.
        keras.utils.clear_session()
        return model

    return build
