"""The log: silent by default, one line for each request, and never a credential."""

from __future__ import annotations

import logging
import re

import pytest
from faults import scripts as f
from faults.calls import KEY, TOKEN, play, refused
from faults.lab import Lab
from faults.programs import run_program

from inferencekey import RetryPolicy

WAYS = ("async", "sync")
QUICK = RetryPolicy(base=0.001)
CHAT = "POST /endpoint/acme/bot/v1/chat/completions"


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(r.levelname, r.getMessage()) for r in caplog.records if r.name == "inferencekey"]


@pytest.mark.parametrize("way", WAYS)
def test_one_line_per_request(way: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "inferencekey")
    with Lab() as lab:
        play(way, lab.url, "generate_text")
    [(level, line)] = lines(caplog)
    assert level == "DEBUG"
    assert re.fullmatch(CHAT + r" 200, attempt 1, \d+\.\d ms, req-good", line)


@pytest.mark.parametrize("way", WAYS)
def test_every_attempt_and_every_retry(way: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "inferencekey")
    with Lab(f.refuses(503), times=2) as lab:
        play(way, lab.url, "generate_text", retry=QUICK)
    found = lines(caplog)
    assert [level for level, _ in found] == ["DEBUG", "INFO", "DEBUG", "INFO", "DEBUG"]
    assert re.fullmatch(CHAT + r" 503, attempt 1, \d+\.\d ms, req-bad", found[0][1])
    assert re.fullmatch(
        CHAT + r" is retried in 0\.0\d s: api error \(status 503\): no", found[1][1]
    )
    assert re.fullmatch(CHAT + r" 503, attempt 2, \d+\.\d ms, req-bad", found[2][1])
    assert re.fullmatch(CHAT + r" 200, attempt 3, \d+\.\d ms, req-good", found[4][1])


@pytest.mark.parametrize("way", WAYS)
def test_a_failure_has_a_line(way: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "inferencekey")
    with refused() as url:
        play(way, url, "list_workloads", retry=None)
    [(_, line)] = lines(caplog)
    assert re.fullmatch(
        r"GET /api/projects/acme/workloads failed, attempt 1, \d+\.\d ms: network error: .*", line
    )


@pytest.mark.parametrize("way", WAYS)
def test_a_line_without_a_request_id(way: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "inferencekey")
    with Lab() as lab:
        play(way, lab.url, "delete")
    assert [line.rpartition(", ")[2] for _, line in lines(caplog)] == ["req-good", "-"]


PROGRAM = """
import logging, sys
from inferencekey import DataClient, RetryPolicy
how, url, key = sys.argv[1:]
if how == "application":
    logging.basicConfig(level=logging.DEBUG, format="app %(message)s")
elif how == "error":
    logging.basicConfig(level=logging.ERROR)
data = DataClient(base_url=url, project="acme", retry=RetryPolicy(base=0.001))
ep = data.endpoint("bot", api_key=key)
ep.generate_text(prompt="a secret " + "prompt")
try:
    ep.generate_text(prompt="a secret " + "prompt")
except Exception as error:
    logging.getLogger("inferencekey").exception("with the key %s", key)
    print(str(error))
"""


def run(
    how: str, variable: str | None, monkeypatch: pytest.MonkeyPatch, key: str = KEY
) -> tuple[int, str, str]:
    monkeypatch.delenv("INFERENCEKEY_LOG", raising=False)
    if variable is not None:
        monkeypatch.setenv("INFERENCEKEY_LOG", variable)

    async def once(connection: f.Connection, request: f.Request, body: bytes) -> None:
        if len(lab.requests) == 1:
            await f.good(connection, request, body)
        else:
            await f.refuses(503, b'{"error": "not with %s"}' % key.encode())(
                connection, request, body
            )

    with Lab(once) as lab:
        return run_program(PROGRAM, how, lab.url, key)


def test_silent_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = run("nothing", None, monkeypatch)
    assert code == 0
    assert err == ""


@pytest.mark.parametrize(
    ("variable", "attempts", "retries"),
    [("debug", 4, 2), (" DEBUG ", 4, 2), ("info", 0, 2), ("off", 0, 0), ("", 0, 0)],
)
def test_the_variable_turns_the_log_on(
    variable: str, attempts: int, retries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = run("nothing", variable, monkeypatch)
    assert code == 0
    assert (
        len(
            re.findall(
                r"^\S+ \S+ inferencekey DEBUG "
                r"POST /endpoint/acme/bot/v1/chat/completions \d{3}, attempt",
                err,
                re.M,
            )
        )
        == attempts
    )
    assert (
        len(re.findall(r"^\S+ \S+ inferencekey INFO POST .* is retried in", err, re.M)) == retries
    )
    assert KEY[-20:] not in err + out
    assert "secret prompt" not in err
    if attempts:
        assert (
            "with the key ik_live_0a1b2c3d…" in err
        )  # the application's own lines are redacted, too


def test_a_key_of_another_shape_is_not_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-other-gateways-0123456789"
    _, out, err = run("nothing", "debug", monkeypatch, key)
    ours = "\n".join(line for line in err.splitlines() if "with the key" not in line)
    assert "0123456789" not in ours + out


def test_the_applications_own_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = run("application", None, monkeypatch)
    assert code == 0
    assert (
        len(
            re.findall(
                r"^app POST /endpoint/acme/bot/v1/chat/completions 200, attempt 1", err, re.M
            )
        )
        == 1
    )
    # The application logs the key itself. No line of the package contains it.
    ours = [line for line in err.splitlines() if "with the key" not in line]
    assert not [line for line in ours if KEY[-20:] in line]


def test_rejects_an_unknown_value(monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = run("nothing", "loud", monkeypatch)
    assert code == 1
    assert "INFERENCEKEY_LOG must be debug, info or off; got 'loud'" in err


def test_a_control_token_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Lab(f.refuses(500, b'{"error": "not with %s"}' % TOKEN.encode())) as lab:
        play("sync", lab.url, "list_workloads", retry=QUICK)
        play("async", lab.url, "list_workloads", retry=QUICK)
    assert len(caplog.records) >= 6
    assert TOKEN[-20:] not in caplog.text
    assert "f" * 10 not in caplog.text
