"""Execution policies: the settings of each kind, by the rules of the platform contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, cast

from inferencekey._core.control.cron import cron_problem
from inferencekey._core.control.windows import window_problem
from inferencekey.errors import ValidationError
from inferencekey.models import ExecutionPolicy, member
from inferencekey.models.nearest import one_of_these
from inferencekey.models.numbers import integer_problem, is_number

__all__ = ["check_policy", "known_settings", "policy_problems"]

Config = Mapping[str, Any]
Path = tuple[str, ...]
Problem = tuple[Path, str]

_FIELD: Final = "execution_policy_config"
_POOL: Final = ("gpu_pool", "max_hourly_cost_usd", "max_instances", "allowed_cuda_versions")
_WORKERS: Final = ("source", "private_worker_ids", "cloud_pool")
_SCALING: Final = ("min_workers", "max_workers", "max_hourly_cost_usd", "workers")
# The settings of each kind, by the path of the mapping that has them.
_SETTINGS: Final[Mapping[ExecutionPolicy, Mapping[Path, tuple[str, ...]]]] = {
    ExecutionPolicy.FIXED: {(): ("replicas",)},
    ExecutionPolicy.SCHEDULED: {(): ("cron", "window")},
    ExecutionPolicy.AUTOSCALING: {
        (): _SCALING,
        ("workers",): _WORKERS,
        ("workers", "cloud_pool"): _POOL,
    },
}


def check_policy(kind: str | None, config: Config | None) -> None:
    """Check a policy and its config together, as they will be stored.

    Raises:
        ValidationError: the kind is unknown, or a setting is missing or wrong. The message names
            it.
    """
    if kind is None:
        if config is not None:
            raise ValidationError(f"{_FIELD} needs execution_policy")
        return
    policy = member(ExecutionPolicy, kind, "execution_policy")
    for _, message in policy_problems(policy, config):
        raise ValidationError(message)


def policy_problems(kind: ExecutionPolicy, config: Config | None) -> Iterator[Problem]:
    """Yield every problem of a config of this kind: its path, and a message that names it."""
    if config is None:
        # `fixed` without a number is one replica; the other kinds have no sensible default.
        if kind is not ExecutionPolicy.FIXED:
            yield (_FIELD,), f"{_FIELD} is required for execution_policy {str(kind)!r}"
        return
    yield from _unknown(kind, config)
    yield from _CHECKS[kind](config)


def known_settings(kind: ExecutionPolicy, config: Config) -> dict[str, Any]:
    """Return a config without the settings that this version does not know."""
    return _known(_SETTINGS[kind], config, ())


def _known(
    settings: Mapping[Path, tuple[str, ...]], config: Config, inside: Path
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in settings[inside]:
        if name not in config:
            continue
        value: Any = config[name]
        if isinstance(value, Mapping) and (*inside, name) in settings:
            value = _known(settings, cast("Config", value), (*inside, name))
        found[name] = value
    return found


def _unknown(kind: ExecutionPolicy, config: Config) -> Iterator[Problem]:
    for inside, names in _SETTINGS[kind].items():
        for name in _mapping_at(config, inside):
            if name not in names:
                text = f"is not a setting of {str(kind)!r}{one_of_these(name, names)}"
                yield _problem((*inside, name), text)


def _mapping_at(config: Config, path: Path) -> Config:
    """Return the mapping at a path; an empty one if there is none."""
    for name in path:
        value: object = config.get(name)
        config = cast("Config", value) if isinstance(value, Mapping) else {}
    return config


def _fixed(config: Config) -> Iterator[Problem]:
    yield from _integer(config, ("replicas",), at_least=1)


def _scheduled(config: Config) -> Iterator[Problem]:
    if ("cron" in config) == ("window" in config):
        yield (_FIELD,), f"{_FIELD} must have exactly one of cron and window"
        return
    name, check = ("cron", cron_problem) if "cron" in config else ("window", window_problem)
    problem = check(config[name])
    if problem is not None:
        yield _problem((name,), problem)


def _autoscaling(config: Config) -> Iterator[Problem]:
    low = tuple(_integer(config, ("min_workers",), at_least=0))
    high = tuple(_integer(config, ("max_workers",), at_least=1))
    yield from (*low, *high)
    if not low and not high and config["max_workers"] < config["min_workers"]:
        yield _problem(("max_workers",), "must not be less than min_workers")
    workers = config.get("workers")
    if not isinstance(workers, Mapping):
        yield _problem(("workers",), _expected("an object", workers))
        return
    workers = cast("Config", workers)
    source = workers.get("source")
    if source == "cloud":
        yield from _above_zero(config, ("max_hourly_cost_usd",))
        yield from _cloud_pool(workers.get("cloud_pool"))
    elif source == "private":
        yield from _strings(workers, ("workers", "private_worker_ids"))
    else:
        yield _problem(("workers", "source"), _expected("'cloud' or 'private'", source))


def _cloud_pool(pool: object) -> Iterator[Problem]:
    inside = ("workers", "cloud_pool")
    if not isinstance(pool, Mapping):
        yield _problem(inside, _expected("an object", pool))
        return
    pool = cast("Config", pool)
    yield from _strings(pool, (*inside, "gpu_pool"))
    yield from _above_zero(pool, (*inside, "max_hourly_cost_usd"))
    yield from _integer(pool, (*inside, "max_instances"), at_least=1)
    if pool.get("allowed_cuda_versions") is not None:
        yield from _strings(pool, (*inside, "allowed_cuda_versions"))


_CHECKS: Final[dict[ExecutionPolicy, Callable[[Config], Iterator[Problem]]]] = {
    ExecutionPolicy.FIXED: _fixed,
    ExecutionPolicy.SCHEDULED: _scheduled,
    ExecutionPolicy.AUTOSCALING: _autoscaling,
}


def _problem(path: Path, text: str) -> Problem:
    return (_FIELD, *path), f"{'.'.join((_FIELD, *path))} {text}"


def _expected(what: str, value: object) -> str:
    return f"is required: {what}" if value is None else f"must be {what}; got {value!r}"


def _integer(config: Config, path: Path, *, at_least: int) -> Iterator[Problem]:
    value = config.get(path[-1])
    if integer_problem(value, at_least=at_least) is not None:
        yield _problem(path, _expected(f"an integer of at least {at_least}", value))


def _above_zero(config: Config, path: Path) -> Iterator[Problem]:
    value = config.get(path[-1])
    if not is_number(value) or not value > 0:
        yield _problem(path, _expected("a number above 0", value))


def _strings(config: Config, path: Path) -> Iterator[Problem]:
    value: object = config.get(path[-1])
    items = cast("list[object]", value) if isinstance(value, list) else []
    if not items or not all(isinstance(item, str) and item.strip() for item in items):
        yield _problem(path, _expected("a list of at least one string", cast("object", value)))
