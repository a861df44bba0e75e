"""What may be shown of a text of somebody else's."""

from __future__ import annotations

import io
import logging
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencekey import Plan, ReadinessEvent
from inferencekey._core.control.readiness import describe, not_ready
from inferencekey._core.http_errors import error_for
from inferencekey._http.notices.log import Redacting, logger
from inferencekey.local.engines.log_text import clean_line
from inferencekey.local.platform_log import open_platform_log
from inferencekey.manifest import ManifestProblem
from inferencekey.models import FieldDiff
from inferencekey.printable import (
    one_line,
    printable,
    printable_lines,
    shown,
    surrogate_paths,
    without_escape_sequences,
)

UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
TOKEN = "ik_live_0a1b2c3d_" + "f" * 64
HOSTILE = "\x1b[2J\r\nFORGED\x9b1A\x00\u202e\u2066\x85\u2028\udcff"

# Mostly what is dangerous, between letters.
texts = st.text(
    st.one_of(
        st.sampled_from("\x00\x07\t\n\r\x1b[]0;mJ\\\x7f\x85\x90\x9b\x9c\u202a\u202e\u2066\u2069"),
        st.characters(),
        st.characters(categories=["Cs", "Cc", "Cf", "Zl", "Zp"]),
    )
)


@given(texts)
def test_nothing_unsafe_is_left(text: str) -> None:
    for clean in (printable, one_line, shown):
        result = clean(text)
        assert not UNSAFE.search(result)
        result.encode()  # no half characters
        assert clean(result) == result
    assert not UNSAFE.search(printable_lines(text).replace("\n", ""))
    assert printable_lines(text).count("\n") == text.count("\n")


@given(st.text(st.characters(exclude_categories=["C", "Z"])))
def test_ordinary_text_stays(text: str) -> None:
    for clean in (printable, one_line, without_escape_sequences):
        assert clean(text) == text


@pytest.mark.parametrize("text", ["👨‍👩‍👧", "می‌خواهم", "日本語", "שלום", "a b", r"C:\new", "é"])
def test_every_script_stays(text: str) -> None:
    assert printable(text) == one_line(text) == shown(text) == text


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("a\nb", r"a\nb"),
        ("a\x1b[1;31mb\x1b[0m", "ab"),
        ("a\x9b31mb", "ab"),
        ("\x1b]0;title\x07a", "a"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPq#0\x1b\\a", "a"),
        ("\x1bc\x1b(Ba", "a"),
        ("a\x1b", r"a\x1b"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("a\udcffb", r"a\udcffb"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_what_is_shown_instead(text: str, result: str) -> None:
    assert shown(text) == result


@given(st.integers(0, len(TOKEN)), st.text(st.sampled_from("\x00\r\n\x1b\u202e\ud800"), max_size=3))
def test_a_character_inside_a_token_does_not_uncover_it(at: int, inside: str) -> None:
    assert "f" * 9 not in shown(f"a {TOKEN[:at]}{inside}{TOKEN[at:]} b")


@given(st.recursive(texts, lambda inner: st.lists(inner) | st.dictionaries(texts, inner)))
def test_every_half_character_is_found(value: object) -> None:
    found = list(surrogate_paths(value))
    assert bool(found) == bool(re.search("[\ud800-\udfff]", _flat(value)))


def _flat(value: object) -> str:
    if isinstance(value, dict):
        return "".join(f"{key}{_flat(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return "".join(map(_flat, value))
    return str(value)


def test_errors_events_and_log_lines() -> None:
    event = ReadinessEvent("error", HOSTILE, step=HOSTILE)
    plan = Plan(
        "update",
        (FieldDiff(HOSTILE, {HOSTILE: HOSTILE}, {HOSTILE: f"{HOSTILE}\n2"}),),
        HOSTILE,
        HOSTILE,
    )
    problem = ManifestProblem(Path(HOSTILE), 1, HOSTILE)
    for text in (
        describe(event),
        str(not_ready("one", [event], ())),
        str(error_for(500, HOSTILE.encode("utf-8", "replace"))),
        str(error_for(302, b"", location=HOSTILE)),
        str(problem),
        clean_line(HOSTILE),
        *map(str, plan.lines()),
    ):
        assert not UNSAFE.search(text), text
    # The lines of a log in an error are ours, and begin with ours.
    error = str(not_ready("one", [event], [HOSTILE]))
    assert all(line.startswith("  | ") for line in error.splitlines()[2:])


def test_the_log_of_the_clients_has_one_line_for_a_message() -> None:
    for formatter in (Redacting("%(message)s"), logging.Formatter("%(message)s")):
        out = io.StringIO()
        handler = logging.StreamHandler(out)
        handler.setFormatter(formatter)
        logger.addHandler(handler)
        try:
            logger.error("%s: %s", HOSTILE, TOKEN)
        finally:
            logger.removeHandler(handler)
        text = out.getvalue()
        assert text.count("\n") == 1
        assert not UNSAFE.search(text.rstrip("\n"))
        assert "ffff" not in text


def test_the_log_of_the_platform_has_one_line_for_a_message(tmp_path: Path) -> None:
    path = tmp_path / "platform.log"
    with open_platform_log(path) as log:
        try:
            raise ValueError(HOSTILE)
        except ValueError:
            log.exception("%s", HOSTILE)
    first, *others = path.read_text(encoding="utf-8").split("\n")
    assert " ERROR " in first
    assert all(line.startswith("  ") or not line for line in others)
    assert not any(map(UNSAFE.search, (first, *others)))
