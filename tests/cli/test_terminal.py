"""Colours and questions on a terminal."""

from __future__ import annotations

import re

import pytest

from cli.shell import Shell, workload

ONE = workload("one")

GREEN, YELLOW, RED = "\x1b[32m", "\x1b[33m", "\x1b[31m"


def test_a_plan_is_coloured(shell: Shell) -> None:
    shell.write(ONE, workload("old"))
    done = shell.terminal("plan")
    assert done.code == 0
    assert f"{GREEN}+ acme/one: create" in done.out
    assert "\x1b[3" not in shell.terminal("plan", "--json").out
    shell.run("apply", "--yes")
    shell.write(workload("one", model="acme/other"))
    done = shell.terminal("plan", "--prune")
    assert f"{YELLOW}~ acme/one: update" in done.out
    assert f"{RED}- acme/old: remove" in done.out
    process = shell.popen("plan", env={"NO_COLOR": "1"}, stdout=-1, text=True)
    out, _ = process.communicate(timeout=60)
    assert "\x1b" not in out


@pytest.mark.parametrize(("answer", "done"), [("YES", True), ("n", False), ("", False)])
def test_apply_asks(shell: Shell, answer: str, done: bool) -> None:
    shell.write(ONE)
    shown = shell.terminal("apply", answer=answer or " ")
    assert "[y/N]" in shown.out
    assert (shown.code == 0) is done
    assert bool(shell.live()) is done
    if not done:
        assert "not confirmed; nothing was changed" in shown.out


def test_apply_does_not_ask_without_changes_or_with_yes(shell: Shell) -> None:
    shell.write(ONE)
    assert "[y/N]" not in shell.terminal("apply", "--yes").out
    done = shell.terminal("apply")
    assert done.code == 0
    assert "[y/N]" not in done.out


def test_destroy_and_delete_ask(shell: Shell) -> None:
    shell.write(ONE)
    shell.run("apply", "--yes")
    assert shell.terminal("destroy", answer="n").code == 1
    assert shell.terminal("delete", "one", answer="n").code == 1
    assert list(shell.live()) == ["one"]
    done = shell.terminal("destroy", answer="y")
    assert (done.code, shell.live()) == (0, {})


def test_ctrl_c_at_the_question(shell: Shell) -> None:
    shell.write(ONE)
    done = shell.terminal("apply", interrupt_at="[y/N]")
    assert done.code == 130
    assert "Traceback" not in done.out
    assert shell.live() == {}


def test_wait_has_a_live_view(shell: Shell) -> None:
    shell.write(ONE)
    shell.run("apply", "--yes")
    done = shell.terminal("wait", "one")
    assert done.code == 1
    assert "\r\x1b[2Kone: error" in done.out
    assert re.search(r"\(\d+\.\d s\)", done.out)


def test_the_list_is_a_table(shell: Shell) -> None:
    shell.write(ONE)
    shell.run("apply", "--yes")
    done = shell.terminal("list")
    assert done.code == 0
    assert "backend" in done.out
    assert "acme/model" in done.out


def test_status_has_a_line_for_each_workload_by_name(shell: Shell) -> None:
    shell.write(
        *(
            workload(slug, model="acme/a-model-of-a-very-long-name-that-fits-nowhere")
            for slug in "cab"
        )
    )
    shell.run("apply", "--yes")
    shell.run("wait", "--all")  # each fails, with a long message
    data = ["--data", str(shell.platform.data_dir)]
    shell.env["COLUMNS"] = "80"
    shown = re.sub(r"\x1b\[[0-9;]*m", "", shell.terminal("status", *data).out).splitlines()
    head = next(number for number, line in enumerate(shown) if line.startswith("workload"))
    rows = [line.rstrip() for line in shown[head + 1 :]]
    assert [row.split()[0] for row in rows] == ["acme/a", "acme/b", "acme/c"]
    assert all(len(row) <= 80 and "…" in row for row in rows)
    piped = shell.run("status", *data).out
    assert "…" not in piped
    assert piped.count("acme/a-model-of-a-very-long-name-that-fits-nowhere") >= 3
    assert [item["slug"] for item in shell.run("status", "--json", *data).json["workloads"]] == [
        "a",
        "b",
        "c",
    ]
