"""Everything that can be wrong with a sweep file, found in one pass."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tune.errors import InvalidArgumentError
from tune.job import Job
from tune.sweep.document import Document
from tune.sweep.mistakes import Mistake, Place, SweepError
from tune.sweep.overrides import SHORT_FORMS
from tune.sweep.parameters import Parameter
from tune.sweep.policies import SCHEDULER, SEARCHER, Registry
from tune.sweep.schema import REFUSED, VARIED, Scheduling, SweepFile
from tune.sweep.trainable import TrainableNotFoundError, find_trainable
from tune.sweep.wording import said_of, section_at, unknown_key
from tune.wrappers import as_request

_POLICIES = {"searcher": SEARCHER, "scheduler": SCHEDULER}


class Check:
    """Finds what is wrong with a document, and has its parts when nothing is."""

    def __init__(self, document: Document, directory: Path) -> None:
        self._document = document
        self._directory = directory
        self._mistakes = list(document.mistakes)
        self._unread = {one.place for one in document.mistakes}  # nothing more is said of what YAML itself refuses
        self._known: dict[str, list[str]] = {}
        self._trainable: Any = None
        self._file: SweepFile | None = None

    def parts(self) -> tuple[SweepFile, Any]:
        """The file's content and its trainable.

        Raises:
            SweepError: there are mistakes: shows them all.
        """
        if isinstance(self._document.value, dict):
            self._validate(self._document.value)
        self._raise()
        assert self._file is not None
        return self._file, self._trainable

    def accept(self, job: Job) -> None:
        """Find what does not go together in a `job` made of the parts. It is used up by that.

        Raises:
            SweepError: it shows all of it.
        """
        for check in (job.check, job.policies):
            try:
                check()
            except InvalidArgumentError as error:
                self._mistakes += [Mistake(_in_file_words(one), self._place_of(one, job)) for one in error.mistakes]
            self._raise()

    def _raise(self) -> None:
        if self._mistakes:
            raise SweepError(self._document.source, self._mistakes, self._known)

    def _complain(self, message: str, *path: str | int, key: bool = False) -> None:
        place = self._document.place(path, key=key)
        if place not in self._unread:
            self._mistakes.append(Mistake(message, place))

    # What can be said without each other: the schema, the policies, the trainable, and what excludes what.

    def _validate(self, value: dict[str, Any]) -> None:
        try:
            self._file = SweepFile.model_validate(value)
        except ValidationError as error:
            for one in error.errors(include_url=False):
                self._translate(one["type"], one["loc"], one["msg"], one["input"], one.get("ctx", {}))
        for name, registry in _POLICIES.items():
            self._check_policy(name, registry, value.get(name))
        self._check_trainable(value.get("trainable"))
        self._check_resources(value.get("resources_per_trial"))
        for excluding in _exclusions(value):
            self._complain(*excluding)

    def _translate(
        self, kind: str, loc: tuple[str | int, ...], said: str, given: Any, context: Mapping[str, Any]
    ) -> None:
        """A mistake that pydantic found, in our words."""
        key = str(loc[-1]) if loc else ""
        match kind:
            case "sweep":
                at = context["at"] if isinstance(context["at"], tuple) else (context["at"],) if context["at"] else ()
                self._complain(context["message"], *loc, *at, key=context["message"].startswith(("`", "unknown key")))
            case "extra_forbidden":
                self._unknown_key(loc, key)
            case "missing":
                self._complain(f"`{key}` is missing", *loc[:-1], key=True)
            case _:
                self._complain(said_of(kind, said, given, context), *loc)

    def _unknown_key(self, loc: tuple[str | int, ...], key: str) -> None:
        section, model = section_at(loc[:-1])
        self._complain(unknown_key(key, section, model), *loc, key=True)
        if section or key not in REFUSED:
            group = "a parameter" if model is Parameter else section or "a sweep file"
            self._known[group] = list(model.model_fields)

    def _check_policy(self, name: str, registry: Registry, given: Any) -> None:
        section = {SHORT_FORMS[name]: given} if isinstance(given, str) else given
        if not isinstance(section, dict) or not isinstance(section.get("type"), str):
            return
        if registry is SCHEDULER and VARIED & set(section):
            try:
                section = Scheduling.model_validate(section).arguments()
            except ValidationError:
                return  # what is wrong there was said
        for key, message in registry.mistakes(section):
            unknown = message.startswith("unknown key")
            self._complain(message, name, *([key] if key else []), key=unknown)
            if unknown:
                self._known[f"{name} {section['type']}"] = ["type", *(registry.arguments(section["type"]) or ())]

    def _check_trainable(self, given: Any) -> None:
        if isinstance(given, str):
            try:
                self._trainable = find_trainable(given, self._directory)
            except TrainableNotFoundError as error:
                self._complain(str(error), "trainable")

    def _check_resources(self, given: Any) -> None:
        if isinstance(given, dict):
            try:
                as_request(given)
            except (ValueError, TypeError) as error:
                names = [name for name in given if repr(name) in str(error)]
                self._complain(str(error), "resources_per_trial", *names[:1])

    def _place_of(self, message: str, job: Job) -> Place:
        """Where the file says what `message`, from the job's own check, is about."""
        for name, policy in (("scheduler", job.tune.scheduler), ("searcher", job.tune.search_alg)):
            if policy is not None and message.startswith(type(policy).__name__):
                return self._document.place((name,))
        if message.startswith("constraint "):
            texts = self._document.value.get("constraints", [])
            at = next((index for index, text in enumerate(texts) if repr(text) in message), 0)
            return self._document.place(("constraints", at))
        word = re.split(r"[:\s]", message, maxsplit=1)[0]
        if word in (job.trainable_name, "class", "the"):
            return self._document.place(("trainable",))
        if word in self._document.value:
            return self._document.place((word,))
        parts = [part for name in word.split("/") for part in ("parameters", name)]
        return self._document.place(tuple(parts))


def _exclusions(value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Keys that do not go together, with the key to point at."""
    for theirs, ours in (("method", "searcher"), ("run_cap", "num_samples"), ("early_terminate", "scheduler")):
        if theirs in value and ours in value:
            yield f"`{theirs}` is W&B's word for `{ours}`: give one of them", theirs
    metric = value.get("metric")
    if "mode" in value and any(
        "goal" in one for one in (metric if isinstance(metric, list) else [metric]) if isinstance(one, dict)
    ):
        yield "the metric's `goal` says the same as `mode`: give one of them", "mode"
    match value.get("method"):
        case "grid" if "run_cap" in value:
            yield "`run_cap` cannot cut a grid short: leave it out, the grid is run through once", "run_cap"
        case "random" | "bayes" if "run_cap" not in value and "num_samples" not in value:
            yield "it would go on for ever: give `run_cap`, or num_samples: -1 if that is meant", "method"


# What the searchers say of a space in Python's words.
_WORDS = {
    "grid_search([...])": "`grid: [...]`",
    "is a grid_search": "is a grid",
    "use choice there": "use `values` there",
    "use choice": "use `values`",
    "or BasicVariantGenerator": "or searcher variant_generator",
    "or use RandomSearch": "or use searcher random",
}


def _in_file_words(message: str) -> str:
    for theirs, ours in _WORDS.items():
        message = message.replace(theirs, ours)
    return message
