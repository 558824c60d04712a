"""Every searcher keeps the contract."""

from typing import Any, ClassVar

from optuna.samplers import NSGAIISampler, TPESampler

from searchers import (
    AutoSearch,
    BasicVariantGenerator,
    BOHBSearch,
    ConcurrencyLimiter,
    EvolutionSearch,
    GaussianProcessSearch,
    GridSearch,
    HaltonSearch,
    OptunaSearch,
    RandomSearch,
    Repeater,
    Searcher,
    SobolSearch,
    TPESearch,
    grid_search,
    uniform,
)
from searchers.choices import matches
from tests.searchers.contract import CONDITIONAL, FINITE, History, SearcherContract, play


class TestRandomSearch(SearcherContract):
    learns = False

    def make(self) -> Searcher:
        return RandomSearch(points_to_evaluate=[{"lr": 1e-3}])


class TestRandomSearchOfAConditionalSpace(SearcherContract):
    learns = False
    space = CONDITIONAL

    def make(self) -> Searcher:
        return RandomSearch()


class TestVariants(SearcherContract):
    learns = False

    def make(self) -> Searcher:
        return BasicVariantGenerator(max_concurrent=50)


class TestTPE(SearcherContract):
    def make(self) -> Searcher:
        return TPESearch(points_to_evaluate=[{"lr": 1e-3}], n_startup_trials=3)


class TestTPEOfAConditionalSpace(SearcherContract):
    space = CONDITIONAL

    def make(self) -> Searcher:
        return TPESearch(n_startup_trials=3)


class TestAGaussianProcess(SearcherContract):
    def make(self) -> Searcher:
        return GaussianProcessSearch(points_to_evaluate=[{"lr": 1e-3}], n_startup_trials=12, n_candidates=32)


class TestAGaussianProcessOfAConditionalSpace(SearcherContract):
    space = CONDITIONAL

    def make(self) -> Searcher:
        return GaussianProcessSearch(n_startup_trials=3, n_candidates=32)


class TestBOHB(SearcherContract):
    space = CONDITIONAL

    def make(self) -> Searcher:
        return BOHBSearch(min_points_in_model=2)


class TestEvolution(SearcherContract):
    space = CONDITIONAL

    def make(self) -> Searcher:
        return EvolutionSearch(population_size=4, sample_size=2)


class TestSobol(SearcherContract):
    learns = False

    def make(self) -> Searcher:
        return SobolSearch()


class TestHalton(SearcherContract):
    learns = False
    space = CONDITIONAL

    def make(self) -> Searcher:
        return HaltonSearch(points_to_evaluate=[{"momentum": 0.5}])


class TestAuto(SearcherContract):
    def make(self) -> Searcher:
        return AutoSearch()


class TestRepeatedTPE(SearcherContract):
    learns = False

    def make(self) -> Searcher:
        return Repeater(TPESearch(n_startup_trials=2), repeat=2, set_index=False)

    def test_points_from_outside_are_welcome(self) -> None:
        searcher = self.bound()
        searcher.on_trial_add("t0", {"lr": 5.0, "something": "else"})
        assert searcher.suggest("t1") == {"lr": 5.0, "something": "else"}
        assert matches(self.space, searcher.suggest("t2"))


class TestOptunasTPE(SearcherContract):
    def make(self) -> Searcher:
        return OptunaSearch(sampler=TPESampler(n_startup_trials=3, seed=0))


class TestOptunasTPEOfAConditionalSpace(SearcherContract):
    space = CONDITIONAL

    def make(self) -> Searcher:
        return OptunaSearch(points_to_evaluate=[{"model": {"kind": "svm"}}])


class TestOptunasRandomSampler(SearcherContract):
    learns = False
    space = CONDITIONAL

    def make(self) -> Searcher:
        return OptunaSearch(sampler="random")


class TestASamplerThatKeepsNotes(SearcherContract):
    learns = False

    def make(self) -> Searcher:
        return OptunaSearch(sampler=NSGAIISampler(population_size=4))


class Finite(SearcherContract):
    """Of a space of 16 configurations, which is soon exhausted."""

    space: ClassVar[dict[str, Any]] = FINITE

    def test_suggestions_lie_in_the_space(self) -> None:
        history = History(self.bound())
        play(history, [("start", 0), ("end", 0)] * 20)
        assert len({repr(config) for config in history.suggested}) == len(history.suggested) == 16


class TestRandomSearchOfAFiniteSpace(Finite):
    learns = False

    def make(self) -> Searcher:
        return RandomSearch(points_to_evaluate=[{"depth": 8, "optimizer": "sgd"}])


class TestASamplerThatKeepsNotesOfAFiniteSpace(Finite):
    learns = False

    def make(self) -> Searcher:
        return OptunaSearch(sampler=NSGAIISampler(population_size=4))


class TestASequenceOfPoints(SearcherContract):
    learns = False

    def make(self) -> Searcher:
        return OptunaSearch(sampler="qmc")


def define(trial: Any) -> dict[str, Any]:
    trial.suggest_float("lr", 1e-5, 1e-1, log=True)
    if trial.suggest_categorical("optimizer", ["adam", "sgd"]) == "sgd":
        trial.suggest_float("momentum", 0, 1)
    return {"epochs": 3}


class TestADefineByRunFunction(SearcherContract):
    space: ClassVar[dict[str, Any]] = {"fixed": {"depth": 1}}

    def make(self) -> Searcher:
        return OptunaSearch(define, sampler=TPESampler(n_startup_trials=3))

    def test_suggestions_lie_in_the_space(self) -> None:
        config = self.bound().suggest("t0")
        assert isinstance(config, dict)
        assert config.keys() - {"momentum"} == {"lr", "optimizer", "epochs", "fixed"}

    def test_points_from_outside_are_welcome(self) -> None:
        searcher = self.bound()
        searcher.on_trial_add("t0", {"lr": 5.0, "optimizer": "adam"})
        searcher.on_trial_add("t1", {"something": "else"})
        assert isinstance(searcher.suggest("t2"), dict)

    def test_each_suggestion_is_a_container_of_its_own(self) -> None:
        searcher = self.bound()
        first, second = searcher.suggest("t0"), searcher.suggest("t1")
        assert isinstance(first, dict)
        assert isinstance(second, dict)
        assert first["fixed"] is not second["fixed"]


class TestLimitedTPE(SearcherContract):
    def make(self) -> Searcher:
        return ConcurrencyLimiter(OptunaSearch(), max_concurrent=60)


class TestGridSearch(SearcherContract):
    learns = False
    space: ClassVar[dict[str, Any]] = {"a": grid_search([1, 2, 3]), "x": uniform(0, 1)}

    def make(self) -> Searcher:
        return GridSearch()

    def test_suggestions_lie_in_the_space(self) -> None:
        searcher = self.bound()
        configs = [searcher.suggest(f"t{number}") for number in range(6)]
        assert [config["a"] for config in configs if isinstance(config, dict)] == [1, 2, 3, 1, 2, 3]

    def test_points_from_outside_are_welcome(self) -> None:
        searcher = self.bound()
        searcher.on_trial_add("t0", {"a": 7})
        assert isinstance(searcher.suggest("t1"), dict)
