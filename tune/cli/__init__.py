"""The command ``audition``: run sweep files, look at experiments, go on with them.

Each command imports what it needs when it runs, so that asking for help costs next to nothing. Exit codes: 0 all went
well, 1 trials or the run failed, 2 the input is wrong, 130 the run was interrupted and can be resumed
(143 by SIGTERM, 129 by SIGHUP).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tune.cli.cluster import app as cluster
from tune.cli.ending import ending, leave

app = typer.Typer(
    name="audition",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Tune hyperparameters: run sweep files, look at experiments, go on with them.",
)

app.add_typer(cluster, name="cluster")

Debug = Annotated[bool, typer.Option("--debug", help="Show our own traceback of an error too.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing while it runs.")]
Storage = Annotated[
    Path | None, typer.Option(help="The directory that holds experiments; $AUDITION_STORAGE or ./results by default.")
]
Verbose = Annotated[int, typer.Option("--verbose", "-v", count=True, help="Print more while it runs.")]
Experiment = Annotated[str, typer.Argument(help="The experiment's directory, or its name in the storage directory.")]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"audition {version('audition')}")
        raise typer.Exit


@app.callback()
def audition(
    *, version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which.")] = False
) -> None:
    """Tune hyperparameters: run sweep files, look at experiments, go on with them."""


@app.command()
def run(
    sweep: Annotated[Path, typer.Argument(help="The sweep file, in YAML.")],
    *,
    name: Annotated[str | None, typer.Option(help="The experiment's name, in place of the file's.")] = None,
    storage_path: Annotated[
        str | None,
        typer.Option(help="The directory or URL that holds experiments; $AUDITION_STORAGE or ./results by default."),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a value: scheduler.max_t=9. May be repeated."),
    ] = None,
    num_samples: Annotated[int | None, typer.Option(help="How often to sample the space.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan; start nothing.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the experiment if it exists already.")] = False,
    detach: Annotated[
        bool, typer.Option("--detach", help="Leave it with the head of the cluster that the file's executor is.")
    ] = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Run a sweep file."""
    with ending(debug):
        from tune.cli.running import detach_sweep, plan_sweep, run_sweep

        options = {"name": name, "storage_path": storage_path, "num_samples": num_samples}
        given = {key: value for key, value in options.items() if value is not None}
        if quiet or verbose:
            given["verbose"] = 0 if quiet else verbose + 1
        if dry_run:
            plan_sweep(sweep, changes or [], given)
        elif detach:
            detach_sweep(sweep, changes or [], given, resume=resume)
        else:
            leave(run_sweep(sweep, changes or [], given, resume=resume))


@app.command()
def resume(
    experiment: Experiment,
    *,
    num_samples: Annotated[int | None, typer.Option(help="How many samples more: +50.")] = None,
    time_budget_s: Annotated[float | None, typer.Option(help="How many seconds more.")] = None,
    stop: Annotated[
        list[str] | None,
        typer.Option(help="Another criterion, such as training_iteration=54: trials that had ended train on to it."),
    ] = None,
    resume_errored: Annotated[
        bool, typer.Option("--resume-errored", help="Go on with failed trials, from their latest checkpoints.")
    ] = False,
    restart_errored: Annotated[bool, typer.Option("--restart-errored", help="Start failed trials from zero.")] = False,
    resume_unfinished: Annotated[
        bool, typer.Option("--resume-unfinished/--end-unfinished", help="Whether trials that were not over go on.")
    ] = True,
    storage_path: Storage = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Go on with an experiment from where it stands, or beyond where it ended."""
    with ending(debug):
        from tune.cli.running import read_thresholds, resume_experiment

        changes = {
            "num_samples": num_samples,
            "time_budget_s": time_budget_s,
            "stop": read_thresholds(stop) if stop else None,
            "resume_errored": resume_errored,
            "restart_errored": restart_errored,
            "resume_unfinished": resume_unfinished,
            "verbose": 0 if quiet else verbose + 1,
        }
        leave(resume_experiment(experiment, storage_path, changes))


@app.command()
def doctor(
    experiment: Experiment,
    *,
    mend: Annotated[bool, typer.Option("--mend", help="Mend what can be mended without loss.")] = False,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Give up what is damaged; the journal as it was is kept.")
    ] = False,
    storage_path: Storage = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Say what is wrong with an experiment's directory, and mend it. Exit code 1: something is wrong."""
    with ending(debug):
        from tune.cli.doctor import see_to

        leave(see_to(experiment, storage_path, mends=mend, accepts_loss=accept_loss, as_json=json))


@app.command()
def ls(
    storage_path: Annotated[
        Path | None, typer.Argument(help="The directory to look in; $AUDITION_STORAGE or ./results by default.")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List the experiments in a directory, the newest first."""
    with ending(debug):
        from tune.cli.listing import list_experiments

        list_experiments(storage_path, as_json=json)


@app.command()
def show(
    experiment: Experiment,
    *,
    trial: Annotated[str | None, typer.Option(help="Show this trial in full: t7.")] = None,
    sort: Annotated[str | None, typer.Option(help="The metric or parameter to sort by.")] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="Sort the other way round.")] = False,
    limit: Annotated[int | None, typer.Option(min=0, help="How many rows; 0 for all.")] = None,
    columns: Annotated[str | None, typer.Option(help="Metrics and parameters to show: accuracy,lr.")] = None,
    storage_path: Storage = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show an experiment's trials, the best first, or one trial in full."""
    with ending(debug):
        from tune.cli.showing import Wanted, show_experiment
        from tune.cli.trial import show_trial

        if trial is not None:
            show_trial(experiment, storage_path, trial, limit=limit, as_json=json)
        else:
            names = [one.strip() for one in columns.split(",") if one.strip()] if columns else []
            show_experiment(experiment, storage_path, Wanted(sort, reverse, limit, names), as_json=json)


def main() -> None:
    """The entry point."""
    app(prog_name="audition")
