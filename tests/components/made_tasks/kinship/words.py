"""A percentage."""


def columns():
    """One."""
    return ("kin",)


def row(answer, names):
    """How likely."""
    del names
    return (f"{100 * answer['kin']:.1f} %",)


def draw(picture, answer):
    """The picture as it is."""
    del answer
    return picture
