"""What is tested where and what it costs: makes `tests/README.md` from what pytest has measured.

python -m tests.costs JUNIT.xml...
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "tests" / "README.md"
_ROW = re.compile(r"^\| `(tests/[^`]+)` \| \d+ \| (\d+) \|")
_HEAD = """# Tests

`make test` and `make test-slow`, or both in one session: `make test-all`; `make soak` asks the
server thousands of random requests. One file: `make test ARGS=tests/serving/test_rest.py`.

- A task or a family of networks goes the whole pipeline in one test at most. What is asked of it
  otherwise is asked of its stages, in the test's own process.
- Who needs many runs forks them from a process that has imported TFX (`tests/pipelines/forge.py`,
  the steps of `kubeflow_driver.py`). Where the command line itself is tested, it is started as a
  user does.
- What has to be waited for is waited for by what it does, not by the clock; `timeout` in
  `pyproject.toml` ends what hangs.

The table is made by `python -m tests.costs JUNIT.xml`, from a file that pytest writes with
`--junit-xml`; workers take the dearest files first by it. Seconds of one worker
of two on two cores.

| File | Tests | Seconds | What |
|---|---:|---:|---|
"""


def seconds_by_file() -> dict[str, float]:
    """The seconds of each test file, as the table has them."""
    rows = map(_ROW.match, PAGE.read_text(encoding="utf-8").splitlines())
    return {row[1]: float(row[2]) for row in rows if row}


def page(reports: list[str]) -> str:
    """The table of some JUnit files, the dearest first."""
    seconds, tests = Counter(), Counter()
    for report in reports:
        for case in ElementTree.parse(report).iter("testcase"):
            # A class of tests is named behind its file.
            names = [part for part in case.get("classname").split(".") if part[0].islower()]
            file = f"{'/'.join(names)}.py"
            seconds[file] += float(case.get("time"))
            tests[file] += 1
    rows = [
        f"| `{file}` | {tests[file]} | {round(cost)} | {_what(file)} |"
        for file, cost in seconds.most_common()
        if (ROOT / file).exists()
    ]
    total = f"| together | {sum(tests.values())} | {round(sum(seconds.values()))} | |"
    return _HEAD + "\n".join([*rows, total]) + "\n"


def _what(file: str) -> str:
    """The first sentence of the file's docstring."""
    text = ast.get_docstring(ast.parse((ROOT / file).read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(sys.argv[1:]), encoding="utf-8")
