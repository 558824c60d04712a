"""``audition doctor``: what is wrong with an experiment's directory, in words, and mending it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import typer

from tune.cli.ending import FAILED, OK
from tune.cli.experiments import find
from tune.doctor import Finding, examine, mend


def see_to(experiment: str, storage_path: Path | None, *, mends: bool, accepts_loss: bool, as_json: bool) -> int:
    """Examine an experiment, mend it if that is wanted, and say what is left; the exit code."""
    path, done = find(experiment, storage_path), []
    if mends or accepts_loss:
        done = mend(path, accept_loss=accepts_loss)
        path = find(experiment, storage_path)  # of what is published the newest is another now
    findings = examine(path)
    wrong = [one for one in findings if not one.note]
    if as_json:
        typer.echo(json.dumps({"path": str(path), "done": done, "findings": [asdict(one) for one in findings]}))
        return FAILED if wrong else OK
    for line in done:
        typer.echo(f"done   {line}")
    for one in findings:
        typer.echo(_told(one))
    typer.echo(f"{path}: {f'{len(wrong)} wrong' if wrong else 'healthy'}")
    return FAILED if wrong else OK


def _told(finding: Finding) -> str:
    sign = "note " if finding.note else "wrong"
    help_ = "" if finding.note or finding.remedy == "nothing to do" else f"\n       help: {finding.remedy}"
    return f"{sign}  {finding.what}\n       {finding.meaning}{help_}"
