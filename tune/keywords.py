"""Keywords that `tune.run` does not have: which of ours a user probably means, in the words of other libraries too."""

from __future__ import annotations

from collections.abc import Iterable

from tune.errors import InvalidArgumentError, nearest

# What other libraries call what we have: Optuna's, scikit-learn's, Syne Tune's and Keras Tuner's words.
SYNONYMS = {
    "n_trials": "num_samples",
    "n_iter": "num_samples",
    "max_trials": "num_samples",
    "max_num_trials_started": "num_samples",
    "run_cap": "num_samples",
    "direction": "mode",
    "directions": "mode",
    "goal": "mode",
    "objective": "metric",
    "scoring": "metric",
    "monitor": "metric",
    "timeout": "time_budget_s",
    "max_wallclock_time": "time_budget_s",
    "n_jobs": "max_concurrent_trials",
    "n_workers": "max_concurrent_trials",
    "max_concurrent": "max_concurrent_trials",
    "param_space": "config",
    "param_distributions": "config",
    "param_grid": "config",
    "search_space": "config",
    "config_space": "config",
    "parameters": "config",
    "space": "config",
    "sampler": "search_alg",
    "searcher": "search_alg",
    "algo": "search_alg",
    "pruner": "scheduler",
    "early_terminate": "scheduler",
    "study_name": "name",
    "experiment_name": "name",
    "project_name": "name",
    "storage": "storage_path",
    "local_dir": "storage_path",
    "directory": "storage_path",
    "load_if_exists": "resume",
    "random_state": "seed",
    "random_seed": "seed",
    "resources": "resources_per_trial",
    "num_workers": "resources_per_trial",
    "resources_per_worker": "resources_per_trial",
    "scaling_config": "resources_per_trial",
    "max_retries": "max_failures",
    "max_restarts": "max_failures",
    "keep_checkpoints_num": "checkpoint_config",
    "checkpoint_freq": "checkpoint_config",
    "checkpoint_at_end": "checkpoint_config",
    "error_score": "raise_on_failed_trial",
    "catch": "raise_on_failed_trial",
    "show_progress_bar": "verbose",
}

# What Ray Tune has and we leave out, and what to do without it.
ABSENT = {
    "trial_name_creator": "trials are called t0, t1, ...",
    "trial_dirname_creator": "a trial's files lie under checkpoints/, logs/ and artifacts/ by its id",
    "progress_reporter": "verbose=0 silences the table; callbacks= sees every result",
    "sync_config": "everything is written straight to storage_path",
    "export_formats": "save what you need in a checkpoint",
    "restore": "pass points and checkpoints inside the configuration",
    "resume_config": "resume=True goes on with what is unfinished",
    "chdir_to_trial_dir": "the working directory is never changed",
}


def refuse_unknown(function: str, unknown: Iterable[str], known: Iterable[str]) -> None:
    """Refuse keywords that `function` does not have, each with the one that is probably meant.

    Raises:
        InvalidArgumentError: there is at least one.
    """
    known = list(known)
    mistakes = [f"{function} has no keyword {word!r}{_advice(word, known)}" for word in unknown]
    if mistakes:
        raise InvalidArgumentError(mistakes)


def _advice(word: str, known: list[str]) -> str:
    if (ours := SYNONYMS.get(word)) in known:
        return f": it is called {ours!r} here"
    if word in ABSENT:
        return f": {ABSENT[word]}"
    return nearest(word, known)
