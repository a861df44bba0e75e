"""The line of every value in a TOML text."""

from __future__ import annotations

import tomllib
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencekey.manifest.formats.toml_lines import toml_lines
from inferencekey.models.toml import toml_key, toml_text

HARD = (
    r'''
# [not.a.table]
a = 1 # b = 2
"c # d" = "\" # = [x]"
'e"f' = '\'
g.h . "i" = """
j = 1
\""" ""
[k]
"""   # after
l = '''
    + "'''"
    + r"""
[[m]]
''
"""
    + "''''"
    + r"""

[n]
o = [ # p = 1
  1,
  [2, "]",
   3], { q = 1, r = { "s]" = [5] } },
]
t = 1979-05-27 07:32:00
u = 1_000.5e+3
[ n . v ]
[[w.x]]
y = 1
[w.x.z]
aa = 1
[[w.x]]

[w.x.z]
aa = {}
[w]
bb = []
"""
)


def leaves(value: Any, keys: tuple[Any, ...] = ()) -> dict[tuple[Any, ...], Any]:
    found = {keys: value}
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in items:
        found.update(leaves(inner, (*keys, key)))
    return found


def test_a_file_with_every_kind_of_value() -> None:
    lines = toml_lines(HARD)
    assert lines.keys() == leaves(tomllib.loads(HARD)).keys()
    said = {keys: HARD.splitlines()[line - 1] for keys, line in lines.items() if keys}
    assert said[("a",)] == "a = 1 # b = 2"
    assert said[("c # d",)].startswith('"c # d"')
    assert said[("g", "h", "i")].startswith("g.h")
    assert said[("l",)] == "l = '''"
    assert said[("n",)] == "[n]"
    assert said[("n", "o", 0)] == "  1,"
    assert said[("n", "o", 1, 2)] == '   3], { q = 1, r = { "s]" = [5] } },'
    assert said[("n", "o", 2, "r", "s]", 0)] == said[("n", "o", 1, 2)]
    assert said[("n", "v")] == "[ n . v ]"
    assert said[("w", "x", 1, "z", "aa")] == "aa = {}"
    assert said[("w",)] == "[w]"
    tables = [line for line, text in enumerate(HARD.splitlines(), 1) if text == "[[w.x]]"]
    assert [lines[("w", "x")], lines[("w", "x", 0)], lines[("w", "x", 1)]] == [tables[0], *tables]


@pytest.mark.parametrize(
    "text",
    ["", "\n\n", "# only a comment", "[a]", "[[a]]\n[[a]]\n[a.b]", "a=1", "a=[]\nb={}", '""=1'],
)
def test_small_files(text: str) -> None:
    assert toml_lines(text).keys() == leaves(tomllib.loads(text)).keys() | {()}


keys = st.text(st.characters(codec="utf-8"), max_size=5) | st.sampled_from(
    ["a", "b-c", "d.e", 'f"', "'g", "#h", "[i]"]
)
texts = st.text(st.characters(codec="utf-8"), max_size=20) | st.text(
    "a'\"\n\\#[]{}=, \t\r", max_size=20
)
scalars = (
    texts
    | st.integers(-(2**63), 2**63 - 1)
    | st.booleans()
    | st.floats(allow_nan=False)
    | st.dates()
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
documents = st.dictionaries(keys, values, max_size=4)
tables = st.lists(documents, max_size=3)


@given(documents, tables)
def test_written_toml_reads_as_the_same_values(
    document: dict[str, Any], rows: list[dict[str, Any]]
) -> None:
    document.pop("rows", None)
    text = toml_text({**document, "rows": rows}, tables=("rows",))
    expected = {**document, "rows": rows} if rows else document
    assert tomllib.loads(text) == expected


@given(documents, tables, st.sampled_from(["", "# [a]\n", "\n\n"]))
def test_every_value_has_its_line(
    document: dict[str, Any], rows: list[dict[str, Any]], head: str
) -> None:
    document.pop("rows", None)
    text = head + toml_text({**document, "rows": rows}, tables=("rows",))
    lines, said = toml_lines(text), text.split("\n")
    assert lines.keys() == leaves(tomllib.loads(text)).keys()
    for path, line in lines.items():
        if path and isinstance(path[-1], str):
            # The line of a key has the key in it.
            assert toml_key(path[-1]) in said[line - 1]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30))
def test_lines_of_numbered_values_are_their_numbers(steps: list[int]) -> None:
    lines = ["first = 1"]
    for name, step in enumerate(steps):
        number = len(lines) + 1
        if step == 0:
            lines.append(f"[t{name}]")
        elif step == 1:
            lines.append("[[rows]]")
        elif step == 2:
            lines.append(f'k{name} . "x" = {number} # {name}')
        else:
            lines += [
                f"k{name} = [",
                f" {number + 1}, # ]",
                f'  {{ a = {number + 2} }}, """',
                f'"]""", {number + 3},',
                "]",
            ]
    text = "\n".join(lines)
    found = toml_lines(text)
    for path, value in leaves(tomllib.loads(text)).items():
        if isinstance(value, int):
            assert found[path] == value


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"a": {"b": None}}, "a.b cannot be written as TOML: null"),
        ({"a": [1, {"b": b"x"}]}, "a.1.b cannot be written as TOML: a bytes"),
        ({"a": [{1: 2}]}, "a.0.1 cannot be written as TOML: the key 1"),
        ({"a": {1: 2}}, "a.1 cannot be written as TOML: the key 1"),
        (
            {"a": "\ud800"},
            "a cannot be written as TOML: it contains invalid Unicode (a lone surrogate)",
        ),
    ],
)
def test_rejects_values_that_toml_does_not_have(values: Any, what: str) -> None:
    from inferencekey.errors import ValidationError

    with pytest.raises(ValidationError) as caught:
        toml_text(values)
    assert str(caught.value).startswith(f"validation error: {what}")


def test_the_toml_is_readable() -> None:
    values = {
        "project": "acme",
        "day": date(2026, 1, 2),
        "workloads": [
            {
                "name": "a",
                "command": "vllm serve m \\\n  --port 1",
                "config": {"env": {"A": "1"}, "b": [1, {}]},
            }
        ],
    }
    assert toml_text(values, tables=("workloads",)) == (
        'project = "acme"\nday = 2026-01-02\n\n[[workloads]]\nname = "a"\ncommand = \'\'\'\n'
        "vllm serve m \\\n  --port 1'''\n\n"
        '[workloads.config]\nb = [1, {}]\n\n[workloads.config.env]\nA = "1"\n'
    )
