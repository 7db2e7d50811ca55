"""The HTML pages, from `templates/`."""

import jinja2

PAGES = jinja2.Environment(
    loader=jinja2.PackageLoader("components.report"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
)
