"""What a schedule is: a recipe on data, when it is trained anew, and where alerts go."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from components import trusted
from components.ingest import sources, spans
from pipelines import recipe_files, recipes
from pipelines.recipe import Recipe, RecipeError
from pipelines.scheduling import calendar
from pipelines.scheduling.calendar import ScheduleError, duration

# What a schedule can tell of: a run that has failed for good, a retrained model that does not
# replace the served one, one that does.
ALERTS = ("failed", "kept", "replaced")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
# Retraining because of drift makes no sense where drift stops the run.
_DRIFT_PASSES = ("data_checks.drift=1.0", "data_checks.image_drift=1.0")


@dataclass(frozen=True)
class Definition:
    """A schedule, as pure data.

    Attributes:
      name: what it is called.
      recipe, size, settings: the recipe's name or file, which is read anew for each run, and what
        is changed in it; `size` as of `recipes.find`.
      allow_packages: whose objects the recipe may name, see `components.trusted`.
      data: as `convnets run --data` takes them; the recipe's own where it is None.
      window: how many spans are trained on.
      fixed: data that stay the same, on whose test split a new model is measured, too.
      cron, every: when it is due: a cron expression, or the seconds between two times.
      timezone: of `cron`; this machine's where it is None.
      new_span, drift: run only where there is a new span, or where the data lie farther than this
        (0 to 1) from those that the served model was trained on. Of both, either is enough.
      settle: seconds for which nothing below a span may have changed before it counts.
      jitter: up to so many seconds later, at random.
      grace: seconds after which a time that was missed is not made up for; None for never.
      retries, backoff: how often a failed run is tried again, the first time after `backoff`
        seconds, and twice as long each time after it.
      timeout: seconds that a run may take.
      webhook, command: where alerts go, and
      alert_on: of what, see `ALERTS`.
    """

    name: str
    recipe: str
    size: str | None = None
    settings: tuple[str, ...] = ()
    allow_packages: tuple[str, ...] = ()
    data: str | None = None
    window: int | None = None
    fixed: str | None = None
    cron: str | None = None
    every: float | None = None
    timezone: str | None = None
    new_span: bool = False
    drift: float | None = None
    settle: float = 60.0
    jitter: float = 0.0
    grace: float | None = None
    retries: int = 3
    backoff: float = 60.0
    timeout: float | None = None
    webhook: str | None = None
    command: str | None = None
    alert_on: tuple[str, ...] = ("failed", "kept")

    def __post_init__(self) -> None:
        for key in ("settings", "allow_packages", "alert_on"):
            object.__setattr__(self, key, tuple(getattr(self, key)))

    def check(self) -> None:
        """Checks all that can be known before a run.

        Raises:
          ScheduleError: what cannot be; the text says what is allowed.
          RecipeError: an unknown recipe, or settings that it does not take.
          SourceError: a wrong pattern of spans.
        """
        if not _NAME.fullmatch(self.name):
            raise ScheduleError(
                f"{self.name!r} is no name of a schedule: letters, digits, '.', '_' and '-'"
            )
        if (self.cron is None) == (self.every is None):
            raise ScheduleError("say when: either --cron '0 3 * * *' or --every 10m")
        if self.cron is not None:
            calendar.check(self.cron, self.timezone)
        elif self.every < 1:
            raise ScheduleError("--every takes a second or more")
        elif self.timezone is not None:
            raise ScheduleError("--timezone is for --cron: --every counts from when it is defined")
        if self.drift is not None and not 0 < self.drift < 1:
            raise ScheduleError(f"--on-drift takes a number between 0 and 1, not {self.drift:g}")
        if self.retries < 0:
            raise ScheduleError("--retries takes 0 or more")
        if self.webhook is not None and not _is_address(self.webhook):
            raise ScheduleError(
                f"--alert-webhook takes an address http://... or https://..., not {self.webhook!r}"
            )
        for each in self.alert_on:
            if each not in ALERTS:
                raise ScheduleError(f"--alert-on takes {', '.join(ALERTS)}, not {each!r}")
        dataset = self.build().dataset
        if spans.is_pattern(dataset):
            spans.check(dataset)
        elif self.new_span:
            raise ScheduleError(
                f"--on-new-span needs data in spans, such as photos/span-{{SPAN}}, not {dataset}"
            )

    def build(self) -> Recipe:
        """The recipe that a run trains.

        Raises:
          RecipeError: an unknown recipe, or settings that it does not take.
        """
        with self.built() as recipe:
            return recipe

    @contextlib.contextmanager
    def built(self) -> Iterator[Recipe]:
        """What `build` gives; inside, and in processes started there, what it names may be run.

        Raises:
          RecipeError: as `build`.
        """
        with trusted.allowing(self.allow_packages, [Path.cwd()]):
            found = recipes.found(self.recipe, self.size)
            recipe = found.recipe
            if self.data is not None:
                recipe = recipe.on_data(self.data)
            passes = _DRIFT_PASSES if self.drift is not None else ()
            window = [f"window={self.window}"] if self.window is not None else []
            fixed = [f"fixed={json.dumps(self.fixed)}"] if self.fixed is not None else []
            with found.allowed():
                yield recipe.override([*passes, *window, *fixed, *self.settings])

    def to_json(self) -> str:
        """As JSON, without what is as usual."""
        usual = {each.name: each.default for each in dataclasses.fields(self)}
        values = dataclasses.asdict(self)
        return json.dumps({key: values[key] for key in values if values[key] != usual[key]})

    @classmethod
    def from_json(cls, text: str) -> Definition:
        """What `to_json` wrote."""
        return cls(**json.loads(text))

    def arguments(self) -> Iterator[str]:
        """What `convnets schedule` makes this definition of."""
        yield self.recipe
        if self.name != self.recipe:
            yield f"--name={self.name}"
        if self.size is not None:
            yield f"--size={self.size}"
        yield from (f"--set={setting}" for setting in self.settings)
        yield from (f"--allow-package={name}" for name in self.allow_packages)
        for option, value in (
            ("--data", self.data),
            ("--window", self.window),
            ("--fixed", self.fixed),
            ("--cron", self.cron),
            ("--every", self.every and duration(self.every)),
            ("--timezone", self.timezone),
            ("--on-drift", self.drift),
        ):
            if value is not None:
                yield f"{option}={value}"
        if self.new_span:
            yield "--on-new-span"
        for key in ("settle", "jitter", "grace", "backoff", "timeout"):
            if getattr(self, key) != getattr(Definition, key):
                yield f"--{key}={duration(getattr(self, key))}"
        if self.retries != Definition.retries:
            yield f"--retries={self.retries}"
        for option, value in (("webhook", self.webhook), ("command", self.command)):
            if value is not None:
                yield f"--alert-{option}={value}"
        if self.alert_on != Definition.alert_on:
            yield from (f"--alert-on={each}" for each in self.alert_on)

    @property
    def when(self) -> str:
        """When it is due, and under which conditions, in words."""
        if self.cron is not None:
            times = f"cron {self.cron}" + (f" {self.timezone}" if self.timezone else "")
        else:
            times = f"every {duration(self.every)}"
        conditions = ["a new span"] * self.new_span
        if self.drift is not None:
            conditions.append(f"a drift over {self.drift:g}")
        return f"{times}, on {' or '.join(conditions)}" if conditions else times


def _is_address(text: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # A port that is none, or half an IPv6 address.
        return False


def absolute_file(recipe: str) -> str:
    """The path of a recipe's file so that it holds in every folder; a name as it is."""
    is_file = recipe_files.is_file(recipe) or recipe.endswith(".keras")
    return os.path.abspath(Path(recipe).expanduser()) if is_file else recipe


def absolute(data: str | None) -> str | None:
    """A path so that it holds in every folder; names and URIs as they are."""
    if data is None or "://" in data or sources.is_name(data):
        return data
    return os.path.abspath(Path(data).expanduser()).rstrip("/")


__all__ = ["ALERTS", "Definition", "RecipeError", "ScheduleError", "absolute", "absolute_file"]
