"""`convnets schedule`: retraining at times, on new data, when data drift."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import logging
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines import recipes, served
from pipelines.commands.common import (
    ALLOW_HELP,
    INTERRUPTED,
    console,
    root_option,
    user_errors,
)
from pipelines.commands.recipe_options import recipe_options
from pipelines.webhook import masked

if TYPE_CHECKING:
    from pipelines.scheduling.store import Store

_FORMATS = ("systemd", "cronjob", "kfp")
_IMAGE = "convnets:latest"


class _Group(click.Group):
    """`convnets schedule RECIPE ...` is a command, too: what names no other one is `add`'s."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["add", *args]
        return super().parse_args(ctx, args)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "RECIPE (--cron EXPRESSION | --every TIME) ...")
        formatter.write_usage(ctx.command_path, "COMMAND ...", prefix="       ")


@click.group("schedule", cls=_Group)
def schedule() -> None:
    """Trains a recipe anew at times, on new data, or when data drift.

    `convnets schedule add --help` shows what a schedule can be told; `add` itself may be left out.
    """


class _Length(click.ParamType):
    """A length of time, in seconds."""

    name = "time"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        from pipelines.scheduling.calendar import ScheduleError, seconds

        if isinstance(value, float):
            return value
        try:
            return seconds(value)
        except ScheduleError as error:
            self.fail(str(error), param, ctx)


_LENGTH = _Length()


@schedule.command("add")
@click.argument("recipe")
@recipe_options
@root_option
@click.option("--allow-package", "allow_packages", multiple=True, metavar="NAME", help=ALLOW_HELP)
@click.option("--name", help="What the schedule is called.  [default: the recipe's name]")
@click.option("--data", metavar="DIR", help="As convnets run takes it, such as photos/span-{SPAN}.")
@click.option("--window", type=int, help="Train on so many spans, the newest and before.")
@click.option(
    "--fixed",
    metavar="DIR",
    help="Data that stay the same, on which a new model has to be as good as the served one, too.  "
    "[default: of spans, the oldest]",
)
@click.option("--cron", metavar="EXPRESSION", help="When: minute hour day month weekday, @daily.")
@click.option("--every", type=_LENGTH, help="When: after so long, such as 10m.")
@click.option("--timezone", metavar="NAME", help="Of --cron.  [default: this machine's]")
@click.option("--on-new-span", "new_span", is_flag=True, help="Only if there is a new span.")
@click.option("--on-drift", "drift", type=float, help="Only if the data have drifted so far (0-1).")
@click.option("--settle", type=_LENGTH, default="1m", help="A new span has to be quiet so long.")
@click.option("--jitter", type=_LENGTH, default="0", help="Begin up to so much later, at random.")
@click.option("--grace", type=_LENGTH, help="Do not make up for what was missed longer ago.")
@click.option("--retries", type=int, default=3, show_default=True, help="Of a run that failed.")
@click.option("--backoff", type=_LENGTH, default="1m", help="Before the first retry; it doubles.")
@click.option("--timeout", type=_LENGTH, help="Stop a run that takes longer.")
@click.option("--alert-webhook", "webhook", metavar="URL", help="Gets JSON by POST.")
@click.option("--alert-command", "command", metavar="COMMAND", help="Gets JSON on standard input.")
@click.option(
    "--alert-on",
    multiple=True,
    metavar="EVENT",
    help="failed, kept (the new model does not replace the served one), replaced; repeatable.  "
    "[default: failed, kept]",
)
@click.option("--no-start", is_flag=True, help="Only keep the definition; start it later.")
@click.option("--once", is_flag=True, help="Look and run once, for other schedulers.")
def add(
    recipe: str,
    root: Path,
    name: str | None,
    data: str | None,
    fixed: str | None,
    cron: str | None,
    alert_on: Sequence[str],
    no_start: bool,
    once: bool,
    **values: Any,
) -> None:
    """Keeps a schedule, in the place of one of the same name, and works on all of the root's."""
    from pipelines.scheduling import calendar
    from pipelines.scheduling.definition import Definition, absolute, absolute_file
    from pipelines.scheduling.scheduler import Scheduler

    with _errors():
        made = Definition(
            name=name or _name_of(recipe, values["size"], values["allow_packages"]),
            recipe=absolute_file(recipe),
            data=absolute(data),
            fixed=absolute(fixed),
            cron=cron if cron is None else calendar.cron(cron),
            **({"alert_on": tuple(alert_on)} if alert_on else {}),
            **values,
        )
        made.check()
        _check_data(made)
        made = _with_fixed(made)
        scheduler = Scheduler(root)
        scheduler.define(made)
    console().print(f"{made.name}: {made.when}")
    if once:
        sys.exit(_once(scheduler, made.name))
    if not no_start:
        _serve(scheduler)


def _name_of(recipe: str, size: str | None, packages: Sequence[str]) -> str:
    from components import trusted

    with trusted.allowing(packages):
        return recipes.find(recipe, size).name


def _check_data(made: Any) -> None:
    """Data that are to be there now are; spans may come later."""
    from components.ingest import sources, spans

    task = made.build().task
    for data in (made.data, made.fixed):
        if data is not None and not spans.is_pattern(data):
            sources.resolve(data, task)


def _with_fixed(made: Any) -> Any:
    """The definition with the oldest span as its fixed data, where nothing else is said."""
    from components.ingest import spans

    if made.fixed is not None or made.data is None or not spans.is_pattern(made.data):
        return made
    try:
        oldest = spans.find(made.data)[0]
    except spans.SpanError as error:
        console().print(f"{error}; without --fixed, nothing stays the same to measure on")
        return made
    return dataclasses.replace(made, fixed=oldest.folder)


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    from pipelines.scheduling.scheduler import SchedulerBusy
    from pipelines.scheduling.store import StoreGone

    with user_errors():
        try:
            yield
        except (SchedulerBusy, StoreGone, sqlite3.Error) as error:
            raise click.ClickException(str(error)) from error


def _once(scheduler: Any, name: str) -> int:
    _show_log(logging.WARNING)
    try:
        with _errors():
            outcome = scheduler.once(name)
    except KeyboardInterrupt:
        return INTERRUPTED
    entry = scheduler.store.entry(name)
    text = f"{outcome.state}: {outcome.text}" if outcome else entry.looked or "missed"
    console().print(masked(text))
    return 1 if outcome and outcome.failed else 0


class _Masked(logging.Formatter):
    """Without what may be secret in addresses, those in tracebacks among them."""

    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))


def _show_log(level: int) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_Masked("%(asctime)s %(message)s"))
    logging.basicConfig(handlers=[handler], level=level)


def _serve(scheduler: Any) -> None:
    _show_log(logging.INFO)
    try:
        with _errors():
            scheduler.serve()
    except KeyboardInterrupt:
        console().print("stopped; `convnets schedule start` goes on")
        sys.exit(INTERRUPTED)


@schedule.command("start")
@root_option
def start(root: Path) -> None:
    """Works on the schedules of a root until it is stopped."""
    from pipelines.scheduling.scheduler import Scheduler

    with _errors():
        _store(root)  # A deleted file is not begun anew in silence.
        scheduler = Scheduler(root)
    _serve(scheduler)


@schedule.command("list")
@root_option
def list_schedules(root: Path) -> None:
    """The schedules of a root, and when they are due."""
    from pipelines.scheduling import screens

    with _errors():
        store = _store(root)
        console().print(screens.schedules_screen(store.entries(), store.history(number=100)))


@schedule.command("history")
@click.argument("name", required=False)
@root_option
@click.option("--number", default=20, show_default=True, help="How many, the newest first.")
def history(name: str | None, root: Path, number: int) -> None:
    """What has been run, why, and what came of it."""
    from pipelines.scheduling import screens

    with _errors():
        store = _store(root)
        found = store.history(name, number)
        if name is not None and not found:
            store.entry(name)  # what has been removed has a history, too
        console().print(screens.history_screen(found))


@schedule.command("run-now")
@click.argument("name")
@root_option
def run_now(name: str, root: Path) -> None:
    """Asks the scheduler for a run, whatever the time and the data; of a paused one, too."""
    from pipelines.scheduling import scheduler

    with _errors():
        store = _store(root)
        store.entry(name)
        store.update(name, requested_at=_now(), retry_at=None, attempt=0)
    console().print(f"{name}: asked for")
    if not scheduler.works(root):
        console().print(
            f"no scheduler works on {root}; to start one: convnets schedule start --root {root}",
            soft_wrap=True,
        )


@schedule.command("pause")
@click.argument("name")
@root_option
def pause(name: str, root: Path) -> None:
    """Lets the times of a schedule pass, from the next run on."""
    with _errors():
        store = _store(root)
        store.entry(name)
        store.update(name, paused=1)
    console().print(f"{name}: paused")


@schedule.command("resume")
@click.argument("name")
@root_option
def resume(name: str, root: Path) -> None:
    """Takes a paused schedule up again; what was due meanwhile is not made up for."""
    from pipelines.scheduling.scheduler import Scheduler

    with _errors():
        store = _store(root)
        if store.entry(name).paused:
            Scheduler(root).resume(name)
    console().print(f"{name}: {_store(root).entry(name).definition.when}")


@schedule.command("remove")
@click.argument("name")
@root_option
def remove(name: str, root: Path) -> None:
    """Forgets a schedule; its history, its runs and its models stay."""
    with _errors():
        store = _store(root)
        store.entry(name)
        store.remove(name)
    console().print(f"{name}: removed")


@schedule.command("export")
@click.argument("name")
@root_option
@click.option("--as", "form", required=True, type=click.Choice(_FORMATS), help="For what.")
@click.option("--image", default=_IMAGE, show_default=True, help="Of the containers.")
@click.option("--bucket", metavar="URI", help="The root of Kubeflow's runs, gs://NAME/runs.")
def export(name: str, root: Path, form: str, image: str, bucket: str | None) -> None:
    """Prints a schedule for systemd, as a CronJob of Kubernetes, or for Kubeflow Pipelines."""
    from pipelines.scheduling import export as exports

    if form == "kfp":
        served.quiet_libraries()
    with _errors():
        definition = _store(root).entry(name).definition
        click.echo(exports.export(definition, root.absolute(), form, image, bucket), nl=False)
        if lost := exports.left_out(definition, form):
            click.echo(f"Note: {lost}", err=True)


def _store(root: Path) -> Store:
    """The schedules of a root that has some."""
    from pipelines.scheduling import store

    if not store.exists(root):
        raise ValueError(f"{root} has no schedules; first: convnets schedule RECIPE --cron ...")
    return store.Store(root)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)
