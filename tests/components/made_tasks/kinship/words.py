"""A percentage."""

RANKED = False


def columns():
    """One."""
    return ("kin",)


def row(answer, names):
    """How likely."""
    del names
    return (f"{100 * answer['kin']:.1f} %",)


def fields(names, top):
    """One."""
    del names, top
    return ("kin",)


def values(answer, names, top):
    """The likelihood."""
    del names, top
    return (answer["kin"],)


def draw(picture, answer, names):
    """The picture as it is."""
    del answer, names
    return picture
