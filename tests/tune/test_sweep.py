"""Sweep files: what they become, and that every mistake in them is shown where it stands."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schedulers.asha import ASHAScheduler
from searchers.choices import Choice
from searchers.definition import constrained
from searchers.domain import Float, Integer, Normal, ReverseLog
from searchers.ladder import FiniteRange, Ordinal
from searchers.optuna import OptunaSearch
from searchers.tpe import TPESearch
from searchers.variants import GridSearch
from tune.job import Job
from tune.settings import CheckpointConfig, FailureConfig
from tune.sweep import SweepError, read_sweep

TRAINABLE = """
def train(config):
    return {"accuracy": 1.0}

def evaluate(config):
    pass
"""

EXAMPLE = """
name: mlp-digits
trainable: sweep_trainable.py:train
metric: {name: accuracy, goal: maximize}
parameters:
  lr: {distribution: log_uniform, min: 1e-5, max: 1e-1}
  units: {min: 16, max: 256}
  momentum: {min: 0, max: 1.0}
  opt: {values: [sgd, adam, 1e-4, true]}
  epochs: {value: 27}
  batch: 64
  nested: {parameters: {dropout: {min: 0.0, max: 0.5, q: 0.1}}}
searcher: {type: tpe, seed: 7}
scheduler: {type: asha, max_t: 27, grace_period: 1, reduction_factor: 3, variant: promotion}
num_samples: 40
max_concurrent_trials: 2
resources_per_trial: {cpu: 1, gpu: 0}
stop: {training_iteration: 27}
time_budget_s: 3600
max_failures: 3
fail_fast: false
seed: 11
storage_path: ./elsewhere
checkpoint: {num_to_keep: 3, frequency: 2, at_end: true}
reuse_actors: true
verbose: 2
durability: power
"""

PBT = """\
trainable: sweep_trainable.py:train
metric: accuracy
mode: max
scheduler: {type: pbt, hyperparam_mutations: """
MINIMAL = "trainable: sweep_trainable.py:train\nmetric: accuracy\nmode: max\n"

Read = Callable[..., Job]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all tests: a module is imported once in a process's life, from one file."""
    path = tmp_path_factory.mktemp("sweeps")
    (path / "sweep_trainable.py").write_text(TRAINABLE)
    return path


@pytest.fixture
def read(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    monkeypatch.setattr(sys, "path", list(sys.path))

    def read_text(text: str, *settings: str, **options: Any) -> Job:
        (directory / "sweep.yaml").write_text(text)
        return read_sweep(directory / "sweep.yaml", settings, options)

    return read_text


def mistakes(read: Read, text: str, *settings: str) -> list[str]:
    """What is wrong, each as ``line:column: message``."""
    with pytest.raises(SweepError) as caught:
        read(text, *settings)
    return [one.rpartition("/sweep.yaml:")[2] for one in caught.value.mistakes]


def wrong_parameter(read: Read, parameter: str) -> str:
    """What is wrong with one parameter, which stands in line 5."""
    (mistake,) = mistakes(read, f"{MINIMAL}parameters:\n  {parameter}\n")
    return mistake


# ------------------------------------------------------------------------------------------------------- what it means


def test_the_example_becomes_the_job_it_describes(read: Read) -> None:
    job = read(EXAMPLE)
    assert job.trainable.__name__ == "train"
    assert job.space == {
        "lr": Float(1e-5, 0.1, log=True),
        "units": Integer(16, 256),
        "momentum": Float(0.0, 1.0),
        "opt": Choice(("sgd", "adam", 1e-4, True)),
        "epochs": 27,
        "batch": 64,
        "nested": {"dropout": Float(0.0, 0.5, q=0.1)},
    }
    search, run = job.tune, job.run
    assert (search.metric, search.mode, search.num_samples, search.max_concurrent_trials) == ("accuracy", "max", 40, 2)
    assert (search.time_budget_s, search.reuse_actors, search.seed) == (3600, True, 11)
    assert isinstance(search.search_alg, TPESearch)
    assert search.search_alg.init_arguments == ((), {"seed": 7})
    assert isinstance(search.scheduler, ASHAScheduler)
    arguments = {"max_t": 27, "grace_period": 1, "reduction_factor": 3, "type": "promotion"}
    assert search.scheduler.init_arguments == ((), arguments)
    assert (run.name, run.storage_path, run.stop) == ("mlp-digits", "./elsewhere", {"training_iteration": 27})
    assert run.failure_config == FailureConfig(max_failures=3, fail_fast=False)
    assert run.checkpoint_config == CheckpointConfig(num_to_keep=3, checkpoint_frequency=2, checkpoint_at_end=True)
    assert (run.verbose, run.durability, job.resources) == (2, "power", {"cpu": 1, "gpu": 0})


def test_what_the_file_leaves_out_is_as_in_python(read: Read) -> None:
    job = read("trainable: sweep_trainable.py:train")
    python = Job(job.trainable)
    assert (job.tune, job.run, job.space, job.resources) == (python.tune, python.run, {}, None)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("{min: 1, max: 8}", Integer(1, 8)),
        ("{min: 1, max: 8.0}", Float(1.0, 8.0)),
        ("{min: 10, max: 80, q: 10}", Integer(10, 80, q=10)),
        ("{distribution: uniform, min: 1, max: 8}", Float(1.0, 8.0)),
        ("{distribution: q_uniform, min: 0, max: 1, q: 0.25}", Float(0.0, 1.0, q=0.25)),
        ("{distribution: loguniform, min: 1e-5, max: 1}", Float(1e-5, 1.0, log=True)),
        ("{distribution: log_uniform_values, min: 1E-5, max: 1}", Float(1e-5, 1.0, log=True)),
        ("{distribution: qloguniform, min: 0.1, max: 1, q: 0.1}", Float(0.1, 1.0, log=True, q=0.1)),
        ("{distribution: randint, min: 1, max: 8}", Integer(1, 8)),
        ("{distribution: lograndint, min: 1, max: 8}", Integer(1, 8, log=True)),
        ("{distribution: int_uniform, min: 1, max: 8}", Integer(1, 8)),
        ("{distribution: normal, mu: 1, sigma: 2}", Normal(1.0, 2.0)),
        ("{distribution: qrandn, q: 0.5}", Normal(0.0, 1.0, 0.5)),
        ("{distribution: lognormal, mu: 1, sigma: 2}", Normal(1.0, 2.0, log=True)),
        ("{distribution: q_log_normal, mu: 1, sigma: 2, q: 0.5}", Normal(1.0, 2.0, 0.5, log=True)),
        ("{distribution: reverseloguniform, min: 0.9, max: 0.999}", ReverseLog(0.9, 0.999)),
        ("{distribution: finrange, min: 0, max: 1, size: 5}", FiniteRange(0.0, 1.0, 5)),
        ("{distribution: logfinrange, min: 1, max: 64, size: 7, cast_int: true}", FiniteRange(1, 64, 7, True, True)),
        ("{distribution: ordinal, values: [s, m, l]}", Ordinal(("s", "m", "l"))),
        ("{distribution: categorical, values: [a, b]}", Choice(("a", "b"))),
        ("{distribution: constant, value: 3}", 3),
        ("{grid: [relu, tanh]}", {"grid_search": ["relu", "tanh"]}),
        ("{value: [1, 2]}", [1, 2]),
        ("{value: null}", None),
        (
            "{values: ['1e-4', 0x10, 0o17, .5, ~, 2024-01-02, 3:30]}",
            Choice(("1e-4", 16, 15, 0.5, None, "2024-01-02", "3:30")),
        ),
        ('{values: ["no", false]}', Choice(("no", False))),
        (
            "{values: [{parameters: {kind: sgd, momentum: {min: 0.0, max: 1.0}}}, {parameters: {kind: adam}}]}",
            Choice(({"kind": "sgd", "momentum": Float(0.0, 1.0)}, {"kind": "adam"})),
        ),
    ],
)
def test_each_form_of_a_parameter_is_its_domain(read: Read, written: str, meant: Any) -> None:
    searcher = "searcher: grid" if "grid:" in written else ""
    assert read(f"{MINIMAL}{searcher}\nparameters:\n  x: {written}\n").space == {"x": meant}


def test_several_metrics_have_a_goal_each(read: Read) -> None:
    text = "trainable: sweep_trainable.py:train\nmetric: [{name: a, goal: maximize}, {name: b, goal: minimize}]\n"
    job = read(text)
    assert (job.metrics, job.modes) == (("a", "b"), ("max", "min"))


@pytest.mark.parametrize("written", ['["ms <= 20", "mb < 8e9"]', "\n- ms <= 20\n- mb < 8e9"])
def test_outcomes_may_be_constrained(read: Read, written: str) -> None:
    job = read(f"{MINIMAL}outcome_constraints: {written}\n")
    assert [str(one) for one in job.outcome_constraints] == ["ms <= 20", "mb < 8000000000"]


def test_a_constraint_that_cannot_be_read_is_shown_at_its_place(read: Read) -> None:
    with pytest.raises(SweepError, match="'ms = 20' is not a metric") as refused:
        read(f"{MINIMAL}outcome_constraints: ms = 20\n")
    assert ":4:" in str(refused.value)


def test_what_is_known_already_is_named_by_its_directory_and_missed_at_its_place(read: Read) -> None:
    with pytest.raises(SweepError, match="there is no experiment in .*nowhere") as refused:
        read(f"{MINIMAL}parameters: {{x: {{min: 0.0, max: 1.0}}}}\nwarm_start: nowhere\n")
    assert ":5:" in str(refused.value)


def test_searcher_and_scheduler_may_be_one_word(read: Read) -> None:
    job = read(MINIMAL + "searcher: optuna\nscheduler: asha")
    assert isinstance(job.tune.search_alg, OptunaSearch)
    assert isinstance(job.tune.scheduler, ASHAScheduler)


def test_the_words_of_wandb_are_understood(read: Read) -> None:
    text = (
        "trainable: sweep_trainable.py:train\nmethod: bayes\nmetric: {name: loss, goal: minimize}\nrun_cap: 12\n"
        "early_terminate: {type: hyperband, min_iter: 3, eta: 2}\nparameters: {act: {values: [relu, tanh]}}"
    )
    job = read(text)
    assert (type(job.tune.search_alg), job.tune.num_samples, job.space) == (
        TPESearch,
        12,
        {"act": Choice(("relu", "tanh"))},
    )
    assert isinstance(job.tune.scheduler, ASHAScheduler)
    assert job.tune.scheduler.init_arguments[1].items() >= {"grace_period": 3, "reduction_factor": 2}.items()


def test_what_a_population_varies_is_written_as_parameters_are(read: Read) -> None:
    written = "{lr: {distribution: loguniform, min: 1e-4, max: 1e-1}, n: [8, 16], in: {p: {min: 0.0, max: 1.0}}}"
    scheduler = read(PBT + written + "}").tune.scheduler
    assert scheduler.init_arguments[1] == {
        "hyperparam_mutations": {"lr": Float(1e-4, 1e-1, log=True), "n": [8, 16], "in": {"p": Float(0.0, 1.0)}}
    }
    bounds = "{lr: [1e-4, 1], n: {min: 1, max: 9}, in: {parameters: {p: {min: 0.0, max: 1.0}}}}"
    scheduler = read(f"{MINIMAL}scheduler: {{type: pb2, hyperparam_bounds: {bounds}}}").tune.scheduler
    assert scheduler.init_arguments[1] == {
        "hyperparam_bounds": {"lr": [1e-4, 1], "n": Integer(1, 9), "in": {"p": Float(0.0, 1.0)}}
    }


def test_the_values_of_a_wandb_grid_are_its_axes(read: Read) -> None:
    job = read("trainable: sweep_trainable.py:train\nmethod: grid\nparameters: {act: {values: [relu, tanh]}, n: 3}")
    assert isinstance(job.tune.search_alg, GridSearch)
    assert job.space == {"act": {"grid_search": ["relu", "tanh"]}, "n": 3}


def test_each_reading_makes_policies_of_its_own(read: Read) -> None:
    job = read(EXAMPLE)
    assert job.policies().searcher is job.tune.search_alg  # and not bound before


# ----------------------------------------------------------------------------------------------------------- overrides


def test_settings_override_the_file(read: Read) -> None:
    job = read(
        MINIMAL + "searcher: tpe\nparameters: {lr: {min: 0.1, max: 0.5}, n: 3}",
        "searcher.seed=8",
        "scheduler.type=asha",
        "scheduler.max_t=9",
        "parameters.lr.max=1e0",
        "parameters.n={values: [1, 2]}",
        "num_samples=5",
    )
    assert job.space == {"lr": Float(0.1, 1.0), "n": Choice((1, 2))}
    assert isinstance(job.tune.search_alg, TPESearch)
    assert job.tune.search_alg.seed == 8
    assert isinstance(job.tune.scheduler, ASHAScheduler)
    assert job.tune.scheduler.init_arguments == ((), {"max_t": 9})
    assert job.tune.num_samples == 5


def test_options_are_taken_as_they_are(read: Read) -> None:
    assert read(MINIMAL, name="12").run.name == "12"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("num_samples=many", "--set num_samples=many: expected a whole number, got the text 'many'"),
        ("num_sample=3", "--set num_sample=3: unknown key `num_sample`; did you mean 'num_samples'?"),
        ("num_samples", "--set num_samples: expected key=value, such as scheduler.max_t=9"),
        ("seed.x=3", "--set seed.x=3: `seed` holds no keys, so `x` cannot be set in it"),
        ("name=[", "--set name=[: expected the node content, but found '<stream end>' while parsing a flow node"),
        ("fail_fast=no", '--set fail_fast=no: `no` may mean a word or a truth value: write "no" in quotes, or false'),
    ],
)
def test_a_wrong_setting_is_quoted(read: Read, setting: str, message: str) -> None:
    assert mistakes(read, MINIMAL + "seed: 1", setting) == [message]


# ------------------------------------------------------------------------------------------------------------ mistakes


def test_all_mistakes_are_shown_at_once_with_their_lines_in_order(read: Read, directory: Path) -> None:
    text = """
trainable: sweep_trainable.py:trian
metric: {name: accuracy, goal: maximize}
parameters:
  lr: {distribution: loguniform, min: 0, max: 1}
  units: {min: 5, max: 1}
scheduler:
  type: asha
  grace_peroid: 3
num_samples: "100 "
"""
    with pytest.raises(SweepError) as caught:
        read(text)
    assert str(caught.value).replace(f"{directory}/", "") == (
        """\
5 mistakes in sweep.yaml
sweep.yaml:2:12: sweep_trainable.py has no 'trian'; did you mean 'train'? (it defines evaluate, train)
    2 | trainable: sweep_trainable.py:trian
      |            ^^^^^^^^^^^^^^^^^^^^^^^^
sweep.yaml:5:39: a logarithmic scale needs min above 0; try a small positive number such as 1e-8
    5 |   lr: {distribution: loguniform, min: 0, max: 1}
      |                                       ^
sweep.yaml:6:16: min 5 must be below max 1; swap them, or write the value itself
    6 |   units: {min: 5, max: 1}
      |                ^
sweep.yaml:9:3: unknown key `grace_peroid` in scheduler asha; did you mean 'grace_period'?
    9 |   grace_peroid: 3
      |   ^^^^^^^^^^^^
sweep.yaml:10:14: expected a whole number, got the text '100 ': remove the quotes
   10 | num_samples: "100 "
      |              ^^^^^^
known keys of scheduler asha: type, time_attr, metric, mode, max_t, grace_period, reduction_factor, brackets,"""
        " stop_last_trials, variant"
    )


def test_stoppers_have_names_and_are_joined_by_a_list_or_by_all(read: Read) -> None:
    both = "{all: [{type: maximum_iteration, max_iter: 5}, {x: 1}]}"
    job = read(f"{MINIMAL}stop: [{{accuracy: 0.99}}, {{type: timeout, timeout: 60}}, {both}]")
    thresholds, timeout, both = job.run.stop
    assert thresholds.init_arguments == (({"accuracy": 0.99},), {})
    assert timeout.init_arguments == ((), {"timeout": 60})
    assert [type(one).__name__ for one in both.init_arguments[0]] == ["MaximumIterationStopper", "ThresholdStopper"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "expected keys such as trainable: and parameters:, got nothing"),
        ("- a", "expected keys such as trainable: and parameters:, got a list"),
        ("name: a", "`trainable` is missing"),
        (MINIMAL + "name: a\nname: b", "5:1: `name` is here twice: it was given in line 4 already"),
        (MINIMAL + "a: b: c", "4:5: mapping values are not allowed here"),
        (MINIMAL + "stop:\n\tx: 1", "5:1: a tab cannot indent YAML: use spaces"),
        (MINIMAL + "name: !!python/name:os.system x", "4:7: tags such as 'tag:yaml.org,2002:python/name:os.system'"),
        (MINIMAL + "stop: &a {x: *a}", "4:14: anchors and merge keys are not taken"),
        (MINIMAL + "stop: {<<: {x: 1}}", "4:8: anchors and merge keys are not taken"),
        (MINIMAL + "[1]: x", "4:1: a key must be a word"),
        (MINIMAL + "name: " + "[" * 2000, "it is nested too deeply"),
        (MINIMAL + "fail_fast: off", '4:12: `off` may mean a word or a truth value: write "off" in quotes, or false'),
        (MINIMAL + "name: 3", "4:7: expected text, got 3"),
        (MINIMAL + "nmae: x", "4:1: unknown key `nmae`; did you mean 'name'?"),
        (MINIMAL + "n_trials: 3", "4:1: unknown key `n_trials`; it is called 'num_samples' here"),
        (MINIMAL + "config: {}", "4:1: unknown key `config`; it is called 'parameters' here"),
        (MINIMAL + "program: train.py", "4:1: `program` is not taken: scripts that read"),
        (MINIMAL + "num_samples: 0", "4:14: must be at least 1, or -1 to go on without end, got 0"),
        (MINIMAL + "num_samples: 2.5", "4:14: expected a whole number, got 2.5"),
        (MINIMAL + "max_failures: -2", "4:15: must be at least -1, got -2"),
        (MINIMAL + "time_budget_s: 0", "4:16: must be above 0, got 0"),
        (MINIMAL + "reuse_actors: 1", "4:15: expected true or false, got 1"),
        (MINIMAL + "fail_fast: never", "4:12: expected true, false or raise, got 'never'"),
        (MINIMAL + "durability: proces", "4:13: expected 'process' or 'power', got the text 'proces'"),
        (MINIMAL + "stop: 27", "4:7: expected keys and values, got 27"),
        (MINIMAL + "stop: {loss: low}", "4:14: expected a number, got the text 'low'"),
        (MINIMAL + "stop: [{loss: 1}, {loss: low}]", "4:26: expected a number, got the text 'low'"),
        (MINIMAL + "stop: [27]", "4:8: expected keys and values, got 27"),
        (MINIMAL + "stop: {type: timeot, timeout: 3}", "4:14: there is no stopper 'timeot'; did you mean 'timeout'?"),
        (MINIMAL + "stop: {type: timeout, timeout: -3}", "4:32: TimeoutStopper: timeout must be a number of seconds"),
        (MINIMAL + "stop: [{type: timeout, time: 3}]", "4:24: unknown key `time` in stopper timeout; did you mean"),
        (MINIMAL + "stop: {all: [{type: 3}]}", "4:21: expected the name of a stopper, got 3"),
        (MINIMAL + "stop: {all: 3}", "4:8: `all` stands alone, with a list of what must hold together"),
        (
            MINIMAL + "checkpoint: {checkpoint_at_end: true}",
            "4:14: unknown key `checkpoint_at_end` in checkpoint; did you",
        ),
        (MINIMAL + "resources_per_trial: {cpu: 1, gpu: two}", "4:36: resource 'gpu' must be a number of at least 0"),
        (MINIMAL + "searcher: tpee", "4:11: there is no searcher 'tpee'; did you mean 'tpe'?"),
        (MINIMAL + "scheduler: {type: asha, reduction_factor: 0}", "4:43: ASHAScheduler: reduction_factor is 0"),
        (MINIMAL + "searcher: {type: random, random_state: x}", "4:40: random_state must be a whole number"),
        (MINIMAL + "scheduler: {max_t: 3}", "4:1: `type` is missing"),
        (MINIMAL + "scheduler: {type: asha, variant: best}", "4:34: ASHAScheduler: variant is 'best'"),
        (PBT + "{lr: {min: 2, max: 1}}}", "4:57: min 2 must be below max 1"),
        (
            PBT + "{lr: {distribution: loguniforn, min: 1, max: 2}}}",
            "4:66: there is no distribution 'loguniforn'; did you",
        ),
        (
            PBT + "{in: {lr: {min: 1, mx: 2}}}}",
            "4:65: unknown key `mx` in hyperparam_mutations/in/lr; did you mean 'max'?",
        ),
        (PBT + "{lr: 0.1}}", "4:51: 0.1 does not vary: give `min` and `max`, `values` or a list, or leave it out"),
        (PBT + "{lr: {grid: [1, 2]}}}", "4:52: a grid is for different trials: write the list itself, or `values`"),
        (PBT + "{lr: []}}", "4:24: PopulationBasedTraining: hyperparam_mutations['lr'] is empty"),
        (
            MINIMAL + "scheduler: {type: pb2, hyperparam_bounds: {lr: {values: [1, 2]}}}",
            "4:24: PB2: hyperparam_bounds['lr'] is ",
        ),
        (
            MINIMAL + "scheduler: {type: asha, hyperparam_bounds: {lr: [1, 2]}}",
            "4:25: unknown key `hyperparam_bounds`",
        ),
        (MINIMAL + "searcher: grid", "4:11: GridSearch needs at least one `grid: [...]` in the space"),
        (MINIMAL + "method: random\nrun_cap: 3\nsearcher: tpe", "4:9: `method` is W&B's word for `searcher`"),
        (MINIMAL + "method: bayes", "4:9: it would go on for ever: give `run_cap`"),
        (
            MINIMAL + "method: grid\nrun_cap: 3\nparameters: {a: {values: [1]}}",
            "5:10: `run_cap` cannot cut a grid short",
        ),
        ("trainable: sweep_trainable.py:train\nmetric: loss", "2:9: metric 'loss' needs a mode: 'min' or 'max'"),
        ("trainable: sweep_trainable.py:train\nmetric: {name: a, goal: up}", "2:25: expected 'maximize', 'minimize'"),
        ("trainable: sweep_trainable.py:train\nscheduler: asha", "2:12: ASHAScheduler: it compares trials and has no"),
        (MINIMAL.replace("accuracy", "{name: a, goal: max}"), "3:7: the metric's `goal` says the same as `mode`"),
    ],
)
def test_each_mistake_is_shown_where_it_stands(read: Read, text: str, expected: str) -> None:
    (found,) = mistakes(read, text)
    assert expected in found


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        ("x:", "5:5: nothing is said about it"),
        ("x: [1, 2]", "5:3: a list may mean two things"),
        ("x: {}", "5:3: it needs `min` and `max`, `values`, `grid`, `value` or `parameters`"),
        ("x: {min: 1}", "5:3: `max` is missing"),
        ("x: {min: 2, max: 1}", "5:12: min 2 must be below max 1"),
        ('x: {min: "0.1", max: 1}', "5:12: expected a number, got the text '0.1': remove the quotes"),
        ("x: {min: -.inf, max: 1}", "5:12: expected a number, got -inf"),
        ("x: {min: 0.0, max: 1, q: 0.3}", "5:28: 1.0 is not a multiple of q=0.3; the nearest one is 0.9"),
        ("x: {min: 0.0, max: 1, q: 0}", "5:28: q must be above 0"),
        ("x: {distribution: quniform, min: 0, max: 1}", "5:21: distribution quniform needs `q`"),
        ("x: {distribution: randint, min: 1, max: 2.5}", "5:43: expected a whole number, got 2.5"),
        ("x: {distribution: normal, sigma: 0}", "5:36: sd must be above 0"),
        ("x: {distribution: finrange, min: 0, max: 1}", "5:21: distribution finrange needs `size`"),
        ("x: {distribution: finrange, min: 0, max: 1, size: 1}", "5:53: size must be 2 or more, not 1"),
        ("x: {distribution: uniform, min: 0, max: 1, size: 3}", "5:52: distribution uniform takes min, max, q, not"),
        ("x: {distribution: reverseloguniform, min: 0.5, max: 1}", "5:45: min and max must lie in [0, 1)"),
        (
            "x: {distribution: ordinal, values: [{parameters: {a: {min: 1, max: 2}}}, 3]}",
            "5:30: parameters have no place in an order of values",
        ),
        ("x: {distribution: normal, min: 0, max: 1}", "5:34: distribution normal takes mu, sigma, q, not `min`"),
        (
            "x: {distribution: unifrom, min: 0, max: 1}",
            "5:21: there is no distribution 'unifrom'; did you mean uniform?",
        ),
        ("x: {distribution: uniform, values: [1]}", "5:30: distribution uniform takes no `values`"),
        ("x: {distribution: categorical}", "5:21: distribution categorical needs `values`"),
        ("x: {values: []}", "5:7: there is nothing to choose from"),
        ("x: {values: [1], grid: [2]}", "5:20: `values` and `grid` exclude each other"),
        ("x: {values: [1], min: 2}", "5:20: `values` and `min` exclude each other"),
        ("x: {values: [1, yes]}", '5:19: `yes` may mean a word or a truth value: write "yes" in quotes, or true'),
        ("x: {uniform: [0, 1]}", "5:7: unknown key `uniform` in parameter x; write {distribution: uniform, ...}"),
        ("x: {dropout: {min: 0, max: 1}}", "5:7: unknown key `dropout` in parameter x; nested parameters go under"),
        ("x: {parameters: {y: {min: 1, maxi: 2}}}", "5:32: unknown key `maxi` in parameter x/y; did you mean 'max'?"),
        (
            "parameters: {parameters: {nested: {mini: 1}}}",
            "5:38: unknown key `mini` in parameter parameters/nested; did",
        ),
        ("x: {values: [{parameters: {y: {min: 1, max: 0}}}]}", "5:39: min 1 must be below max 0"),
    ],
)
def test_each_mistake_in_a_parameter_is_shown_where_it_stands(read: Read, parameter: str, expected: str) -> None:
    assert expected in wrong_parameter(read, parameter)


def test_a_grid_needs_a_searcher_that_lays_it_out(read: Read) -> None:
    (found,) = mistakes(read, MINIMAL + "searcher: tpe\nparameters: {act: {grid: [1, 2]}, b: {min: 0, max: 1}}")
    assert found.startswith("4:11: ")
    assert "act" in found
    assert "grid_search" not in found


# ----------------------------------------------------------------------------------------------------------- trainables


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (
            "sweep_trainable.py",
            "expected FILE.py:FUNCTION or MODULE:FUNCTION, got 'sweep_trainable.py'; add the function's",
        ),
        ("sweep_trainabel.py:train", "did you mean 'sweep_trainable.py'?"),
        ("sweep_trainable.py:evalute", "has no 'evalute'; did you mean 'evaluate'? (it defines evaluate, train)"),
        ("no_such_package.train:train", "there is no module 'no_such_package' in"),
        ("sweep_raises.py:train", "sweep_raises.py raised ZeroDivisionError: division by zero ("),
        ("sweep_syntax.py:train", "sweep_syntax.py raised SyntaxError: "),
        ("sweep_needs.py:train", "sweep_needs.py raised ModuleNotFoundError: No module named 'no_such_library' ("),
        ("sweep_exits.py:train", "sweep_exits.py raised SystemExit: usage ("),
    ],
)
def test_a_trainable_that_cannot_be_imported_says_why(
    read: Read, directory: Path, reference: str, expected: str
) -> None:
    (directory / "sweep_raises.py").write_text("\n1 / 0\n")
    (directory / "sweep_syntax.py").write_text("\ndef train(:\n")
    (directory / "sweep_needs.py").write_text("\nimport no_such_library\n")
    (directory / "sweep_exits.py").write_text("\nraise SystemExit('usage')\n")
    (found,) = mistakes(read, f"trainable: {reference}")
    assert found.startswith("1:12: ")
    assert expected in found
    assert not found.endswith(")") or ".py:2)" in found or "defines" in found


def test_a_module_beside_the_file_is_found(read: Read, directory: Path) -> None:
    (directory / "sweep_package").mkdir()
    (directory / "sweep_package" / "inner.py").write_text("class Box:\n    @staticmethod\n    def fit(config): ...\n")
    assert read("trainable: sweep_package.inner:Box.fit").trainable.__qualname__ == "Box.fit"


def test_a_trainable_that_takes_no_configuration_is_refused(read: Read, directory: Path) -> None:
    (directory / "sweep_plain.py").write_text("def train(): ...\n")
    (found,) = mistakes(read, "trainable: sweep_plain.py:train")
    assert found.startswith("1:12: train must take the configuration")


def test_constraints_are_read_with_the_parameters(read: Read) -> None:
    job = read(
        "trainable: sweep_trainable.py:train\n"
        "parameters: {a: {min: 1, max: 9}, b: {min: 1, max: 9}}\n"
        'constraints: ["a <= b", a + b < 12]\n'
    )
    assert job.space == constrained({"a": Integer(1, 9), "b": Integer(1, 9)}, "a <= b", "a + b < 12")


@pytest.mark.parametrize(
    ("constraint", "expected"),
    [
        ("a <", "3:15: 'a <' cannot be read: invalid syntax"),
        ("len(a) < 3", "3:15: 'len(a) < 3' has 'len(a)', which no condition may have"),
        ("c < 3", "3:15: constraint 'c < 3': no configuration has a 'c'"),
    ],
)
def test_a_mistake_in_a_constraint_is_shown_where_it_stands(read: Read, constraint: str, expected: str) -> None:
    with pytest.raises(SweepError) as raised:
        read(
            f"trainable: sweep_trainable.py:train\nparameters: {{a: {{min: 1, max: 9}}}}\nconstraints: [{constraint}]\n"
        )
    assert expected in str(raised.value)
