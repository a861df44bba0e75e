"""YAML as manifests use it: the values of JSON, by the rules of YAML 1.2.

PyYAML's own rules are those of YAML 1.1, where ``on`` is a boolean and ``22:00`` a number. By the
core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema) both are strings.
"""

from __future__ import annotations

import re
from typing import Any, Final, cast

from inferencekey.errors import ConfigurationError
from inferencekey.manifest.formats.lines import LineNumbers

try:
    import yaml
except ModuleNotFoundError:
    from inferencekey.installing import missing_message

    raise ConfigurationError.of(missing_message("manifests in YAML need PyYAML", "cli")) from None

__all__ = ["yaml_source", "yaml_text"]

Keys = tuple[str | int, ...]

_TAG: Final = "tag:yaml.org,2002:"
_PLAIN: Final = {
    "null": re.compile(r"(?:~|null|Null|NULL|)\Z"),
    "bool": re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"),
    "int": re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z"),
    "float": re.compile(
        r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
    ),
}
# Characters that PyYAML writes unescaped, and reads as the end of a line or refuses to read.
_ESCAPED: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
# Aliases of aliases multiply: a few lines can expand to a billion values ("billion laughs").
_MAX_VALUES: Final = 100_000


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: Any = {}  # noqa: RUF012 (PyYAML's way)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


_loader, _dumper, _yaml = cast("Any", _Loader), cast("Any", _Dumper), cast("Any", yaml)
for _kind, _pattern in _PLAIN.items():
    _loader.add_implicit_resolver(_TAG + _kind, _pattern, None)
    # In addition to PyYAML's own rules: a string that either of them reads as another type is
    # quoted.
    _dumper.add_implicit_resolver(_TAG + _kind, _pattern, None)


def _represent_text(dumper: Any, text: str) -> Any:
    style = None
    if _ESCAPED.search(text):
        style = '"'
    elif "\n" in text:
        style = "|"
    return dumper.represent_scalar(_TAG + "str", text, style=style)


_dumper.add_representer(str, _represent_text)


def yaml_text(values: Any) -> str:
    """Return values of JSON as YAML; a string of several lines is a block of lines."""
    options = {"sort_keys": False, "allow_unicode": True, "width": 10**9}
    text: str = _yaml.dump(values, Dumper=_Dumper, **options)
    return text


def yaml_source(text: str) -> tuple[Any, dict[Keys, int], list[tuple[int | None, str]]]:
    """Read a YAML text.

    Returns:
        Its values, the line of each value by its path, and the mistakes with their lines.
    """
    try:
        root = _yaml.compose(text, Loader=_Loader)
    except yaml.reader.ReaderError as error:
        line = LineNumbers(text).at(error.position)
        message = f"is not YAML: the character {chr(error.character)!r} is not allowed"
        return None, {}, [(line, message)]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        return None, {}, [(mark.line + 1 if mark else None, f"is not YAML: {reason}")]
    reader = _Reader()
    values = None if root is None else reader.value(root, ())
    return values, reader.lines, reader.mistakes


class _Reader:
    def __init__(self) -> None:
        self.lines: dict[Keys, int] = {(): 1}
        self.mistakes: list[tuple[int | None, str]] = []
        self.count = 0
        self.ancestors: list[Any] = []

    def value(self, node: Any, keys: Keys) -> Any:
        self.count += 1
        if self.count > _MAX_VALUES:
            if self.count == _MAX_VALUES + 1:
                self.add_mistake(node, f"its aliases expand to more than {_MAX_VALUES} values")
            return None
        if any(node is outer for outer in self.ancestors):
            return self.add_mistake(node, "an alias must not be inside the value that it refers to")
        self.lines.setdefault(keys, node.start_mark.line + 1)
        self.ancestors.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self.mapping(node, keys)
            if isinstance(node, yaml.SequenceNode):
                return self.list(node, keys)
            return self.scalar(node)
        finally:
            self.ancestors.pop()

    def mapping(self, node: Any, keys: Keys) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if node.tag != _TAG + "map":
            self.add_mistake(node, f"the tag {_short(node.tag)} is not supported")
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is None:
                self.add_mistake(key_node, "a key must be a string")
            elif key == "<<" and key_node.style is None:
                self.add_mistake(
                    key_node,
                    "merge keys (<<) are not supported; put what workloads share into `defaults`",
                )
            elif key in found:
                self.add_mistake(key_node, f"the key {key!r} is set twice")
            else:
                self.lines[(*keys, key)] = key_node.start_mark.line + 1
                found[key] = self.value(value_node, (*keys, key))
        return found

    def list(self, node: Any, keys: Keys) -> list[Any]:
        if node.tag != _TAG + "seq":
            self.add_mistake(node, f"the tag {_short(node.tag)} is not supported")
        return [self.value(item, (*keys, index)) for index, item in enumerate(node.value)]

    def scalar(self, node: Any) -> Any:
        kind, text = node.tag.removeprefix(_TAG), node.value
        if kind == "str":
            return text
        if kind not in _PLAIN or not _PLAIN[kind].match(text):
            return self.add_mistake(node, f"the tag {_short(node.tag)} is not supported here")
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        try:
            if kind == "int":
                return _integer(text)
            return float(re.sub(r"\.(?=[a-z])", "", text.lower()))
        except ValueError:
            return self.add_mistake(node, "the number has too many digits")

    def add_mistake(self, node: Any, message: str) -> None:
        self.mistakes.append((node.start_mark.line + 1, message))


def _integer(text: str) -> int:
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    return int(text, base)


def _short(tag: str) -> str:
    if tag.startswith(_TAG):
        return f"!!{tag.removeprefix(_TAG)}"
    return tag
