"""What is printed in a terminal, as HTML for a notebook."""

from __future__ import annotations

import io

from rich.console import Console, RenderableType

_COLUMNS = 110
_FRAME = '<pre style="line-height: 1.25; white-space: pre; overflow-x: auto">{code}</pre>'


def of(renderable: RenderableType) -> str:
    """HTML of anything that rich prints; texts in it are escaped."""
    console = Console(
        record=True,
        file=io.StringIO(),
        width=_COLUMNS,
        highlight=False,
        markup=False,
        emoji=False,
        color_system="truecolor",
        force_terminal=True,
        force_jupyter=False,
    )
    console.print(renderable)
    return console.export_html(inline_styles=True, code_format=_FRAME)
