"""Search spaces: a configuration that holds domains anywhere in its dicts, lists and tuples.

The constructors have Ray Tune's names, arguments and meaning. A path names a place in the configuration: the keys, and
in lists the indexes, joined by ``/``. A function in a configuration is a value like any other: only that of
`sample_from` is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from numbers import Real
from typing import Any

from searchers.choices import Choice, SampleFrom
from searchers.domain import Domain, Float, Integer, Normal, ReverseLog
from searchers.foreign import is_foreign, read
from searchers.ladder import FiniteRange, Ordinal


def uniform(lower: float, upper: float) -> Float:
    """A real number between `lower` and `upper`, each as likely."""
    return Float(lower, upper)


def quniform(lower: float, upper: float, q: float) -> Float:
    """A multiple of `q` between `lower` and `upper`, both included; both must be multiples of `q`."""
    return Float(lower, upper, q=q)


def loguniform(lower: float, upper: float) -> Float:
    """A real number between `lower` (above 0) and `upper`, each order of magnitude as likely."""
    return Float(lower, upper, log=True)


def qloguniform(lower: float, upper: float, q: float) -> Float:
    """As `loguniform`, rounded to a multiple of `q`; both ends are included and must be multiples of `q`."""
    return Float(lower, upper, log=True, q=q)


def reverseloguniform(lower: float, upper: float) -> ReverseLog:
    """A real number between `lower` and `upper`, both in [0, 1), evenly in ``log(1 - x)``: more nines are as likely."""
    return ReverseLog(lower, upper)


def randn(mean: float = 0.0, sd: float = 1.0) -> Normal:
    """A real number, normally distributed."""
    return Normal(mean, sd)


def qrandn(mean: float, sd: float, q: float) -> Normal:
    """As `randn`, rounded to a multiple of `q`."""
    return Normal(mean, sd, q)


def normal(mean: float = 0.0, sd: float = 1.0) -> Normal:
    """Another name for `randn`."""
    return Normal(mean, sd)


def lognormal(mean: float = 0.0, sd: float = 1.0) -> Normal:
    """A number above 0 whose natural logarithm is normally distributed: `mean` and `sd` are those of the logarithm."""
    return Normal(mean, sd, log=True)


def qlognormal(mean: float, sd: float, q: float) -> Normal:
    """As `lognormal`, rounded to a multiple of `q`; 0 is one."""
    return Normal(mean, sd, q, log=True)


def randint(lower: int, upper: int) -> Integer:
    """A whole number from `lower` to ``upper - 1``, each as likely."""
    return Integer(lower, _below(upper))


def qrandint(lower: int, upper: int, q: int = 1) -> Integer:
    """A multiple of `q` from `lower` to `upper`, both included; ``q=1`` is `randint`, which excludes `upper`."""
    return Integer(lower, _below(upper) if q == 1 else upper, q=q)


def lograndint(lower: int, upper: int) -> Integer:
    """A whole number from `lower` (above 0) to ``upper - 1``, each order of magnitude as likely."""
    return Integer(lower, _below(upper), log=True)


def qlograndint(lower: int, upper: int, q: int) -> Integer:
    """As `lograndint`, rounded to a multiple of `q`, with `upper` included unless ``q=1``."""
    return Integer(lower, _below(upper) if q == 1 else upper, log=True, q=q)


def finrange(lower: float, upper: float, size: int, cast_int: bool = False) -> FiniteRange:
    """One of `size` numbers from `lower` to `upper`, both included, at equal distances; `cast_int` rounds them."""
    return FiniteRange(lower, upper, size, cast_int=cast_int)


def logfinrange(lower: float, upper: float, size: int, cast_int: bool = False) -> FiniteRange:
    """As `finrange`, at equal ratios; `lower` must be above 0."""
    return FiniteRange(lower, upper, size, log=True, cast_int=cast_int)


def ordinal(categories: Iterable[Any]) -> Ordinal:
    """One of `categories`, each as likely, listed in an order: searchers know that neighbours are alike."""
    if isinstance(categories, str | Mapping) or not isinstance(categories, Iterable):
        raise ValueError(f"ordinal({categories!r}): give a list of categories, such as ordinal([{categories!r}])")
    return Ordinal(tuple(categories))


def choice(categories: Iterable[Any]) -> Choice:
    """One of `categories`, each as likely, as the very object given. Options may hold domains: a conditional space."""
    if isinstance(categories, str | Mapping) or not isinstance(categories, Iterable):
        raise ValueError(f"choice({categories!r}): give a list of options, such as choice([{categories!r}])")
    return Choice(tuple(categories))


def sample_from(func: Callable[..., Any]) -> SampleFrom:
    """What `func` returns, called with nothing or with the configuration resolved so far.

    The configuration offers ``c.x``, ``c["x"]`` and Ray's older ``c.config.x``. A returned domain is resolved in turn.
    """
    return SampleFrom(func)


def grid_search(values: Iterable[Any]) -> dict[str, list[Any]]:
    """Try each of `values`; several such axes are combined. The literal ``{"grid_search": [...]}`` is the same."""
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        raise ValueError(f"grid_search({values!r}): give a list of values, such as grid_search([{values!r}])")
    axis = {"grid_search": list(values)}
    if not axis["grid_search"]:
        raise ValueError("grid_search([]): there is nothing to try; list at least one value")
    return axis


DISTRIBUTIONS: dict[str, Callable[..., Any]] = {
    constructor.__name__: constructor
    for constructor in (
        *(uniform, quniform, loguniform, qloguniform, reverseloguniform),
        *(randn, qrandn, normal, lognormal, qlognormal, randint, qrandint, lograndint, qlograndint),
        *(finrange, logfinrange, ordinal, choice, grid_search),
    )
}
"""The constructors by the names that configuration files use."""


def grid_values(node: Any) -> list[Any] | None:
    """The values of a grid axis, None when `node` is not one."""
    if isinstance(node, dict) and len(node) == 1 and isinstance(node.get("grid_search"), list | tuple | range):
        return list(node["grid_search"])
    return None


def walk(space: Any, parts: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The path's parts and the node for every leaf, in the order written. Domains and grid axes are leaves."""
    children: Iterable[tuple[Any, Any]]
    if isinstance(space, Mapping) and "grid_search" not in space:
        children = space.items()
    elif isinstance(space, list | tuple):
        children = enumerate(space)
    else:
        yield parts, space
        return
    for key, child in children:
        yield from walk(child, (*parts, str(key)))


def domains(space: Mapping[str, Any]) -> dict[str, Domain]:
    """Every domain by its path. Those within a choice's options exist only where the option is chosen: not here."""
    return {"/".join(parts): node for parts, node in walk(space) if isinstance(node, Domain)}


def grid_axes(space: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The values of every grid axis by its path, paths sorted: of a grid's axes the first varies fastest."""
    axes = [(parts, values) for parts, node in walk(space) if (values := grid_values(node)) is not None]
    return {"/".join(parts): values for parts, values in sorted(axes, key=lambda axis: axis[0])}


def validate_space(space: Mapping[str, Any]) -> list[str]:
    """All that is wrong with `space`, one sentence each; empty when nothing is."""
    mistakes: list[str] = []
    seen: dict[str, tuple[str, ...]] = {}
    for parts, node in walk(space):
        path = "/".join(parts)
        if seen.setdefault(path, parts) != parts:
            mistakes.append(
                f"two parameters are called {path!r}: a key that contains '/' meets a nested one; rename one"
            )
        mistakes.extend(_mistakes_at(path, node))
        mistakes.extend(_foreign_at(path, node))
    return mistakes


def _mistakes_at(path: str, node: Any) -> Iterator[str]:
    if isinstance(node, Mapping) and "grid_search" in node:
        if len(node) > 1:
            others = ", ".join(sorted(str(key) for key in node if key != "grid_search"))
            yield f"{path}: grid_search must be the only key of its dict; move {others} out of it"
        values = node["grid_search"]
        if not isinstance(values, list | tuple | range):
            yield f"{path}: grid_search needs a list of values, not {values!r}"
        elif not values:
            yield f"{path}: grid_search([]) has nothing to try; list at least one value"
        elif any(_holds_grid(value) for value in values):
            yield f"{path}: grid_search within grid_search; give each axis a place of its own in the configuration"
    elif isinstance(node, Choice):
        if any(_holds_grid(option) for option in node.options):
            yield f"{path}: grid_search within choice cannot be counted; use choice there, or grid_search outside"
    elif isinstance(node, set | frozenset) and any(isinstance(item, Domain) for item in node):
        yield f"{path}: a set cannot hold domains; use a list"


def _foreign_at(path: str, node: Any) -> Iterator[str]:
    """The distributions of other packages that stand for no domain of ours."""
    if isinstance(node, Choice):
        for index, option in enumerate(node.options):
            for parts, leaf in walk(option):
                yield from _foreign_at("/".join((f"{path}[{index}]", *parts)), leaf)
    elif is_foreign(node):
        try:
            read(node)
        except ValueError as error:
            yield f"{path}: {error}"


def _holds_grid(node: Any) -> bool:
    if isinstance(node, Choice):
        return any(map(_holds_grid, node.options))
    return any(isinstance(leaf, Mapping) or (isinstance(leaf, Choice) and _holds_grid(leaf)) for _, leaf in walk(node))


def _below(upper: Any) -> Any:
    """The largest value of a range that excludes `upper`; what is no number is left for the domain to refuse."""
    return upper - 1 if isinstance(upper, Real) and not isinstance(upper, bool) else upper
