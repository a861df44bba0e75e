"""A client that a parent makes and forked workers use, as under a preforking server.

Clients cannot be pickled, and spawned workers make their own.
"""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
from typing import Any

import pytest
from faults import Connection, FaultServer, Request, chunk, events, json_response, sse_head
from faults.calls import KEY, TOKEN
from faults.programs import run_program

from inferencekey import AsyncDataClient, AsyncManagementClient, DataClient, ManagementClient

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")


async def echo(connection: Connection, request: Request) -> None:
    prompt = request.json["messages"][0]["content"]
    if request.json.get("stream"):
        await connection.send(
            sse_head(), *events(*prompt), chunk(b""), pause=0.02 if len(prompt) > 30 else 0.0
        )
    else:
        await connection.send(
            json_response({"choices": [{"message": {"content": prompt}, "finish_reason": "stop"}]})
        )


def unexpected_lines(err: str) -> list[str]:
    """Return the lines of stderr without two kinds of warnings.

    Python 3.12 and newer warn of any fork in a process with threads. asyncio's debug mode warns of
    slow callbacks, which a busy machine has.
    """
    return [
        line
        for line in err.splitlines()
        if line.strip() and "fork" not in line and not line.startswith("Executing <")
    ]


BEGIN = """
import os, sys, threading
from inferencekey import DataClient
data = DataClient(base_url=sys.argv[1], project="acme", api_key="k")
ep = data.endpoint("bot")

def use(name):
    for i in range(5):
        assert ep.generate_text(prompt=f"{name}-{i}").text == f"{name}-{i}"
        assert "".join(c.text for c in ep.generate_text_stream(prompt=name)) == name

def use_from_threads(name):
    failures = []
    def run(n):
        try:
            use(f"{name}{n}")
        except BaseException as error:
            failures.append(error)
    threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
    for t in threads: t.start()
    for t in threads: t.join()
    assert not failures, failures
"""

PREFORK = (
    BEGIN
    + """
use("parent")
workers = []
for n in range(4):
    pid = os.fork()
    if pid == 0:
        use_from_threads(f"worker{n}")
        sys.exit(0)
    workers.append(pid)
use_from_threads("meanwhile")
codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in workers]
use("afterwards")
print(codes)
"""
)

RESPAWN = (
    BEGIN
    + """
# A worker that has ended is replaced, and workers have workers.
use("parent")
for n in range(3):
    pid = os.fork()
    if pid == 0:
        use(f"worker{n}")
        inner = os.fork()
        if inner == 0:
            use("inner")
            sys.exit(7)
        use("worker")
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1]) + n)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    use("parent")
"""
)

THREADS = (
    BEGIN
    + """
# The fork happens during calls of other threads.
stop = threading.Event()
def busy():
    while not stop.is_set():
        use("busy")
threads = [threading.Thread(target=busy) for _ in range(4)]
for t in threads: t.start()
codes = []
for n in range(5):
    pid = os.fork()
    if pid == 0:
        use(f"child{n}")
        os._exit(0)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
stop.set()
for t in threads: t.join()
print(codes)
"""
)

UNUSED = (
    BEGIN
    + """
# The usual case: the client is made before the fork and used only after it.
pids = []
for n in range(3):
    pid = os.fork()
    if pid == 0:
        use(f"worker{n}")
        sys.exit(0)
    pids.append(pid)
print([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids])
"""
)

CLOSED = (
    BEGIN
    + """
# A worker closes the client or drops it. The parent's streams continue.
stream = ep.generate_text_stream(prompt="abcdefgh" * 5)
text = next(stream).text
for how in ("close", "drop"):
    pid = os.fork()
    if pid == 0:
        use("worker")
        if how == "close":
            data.close()
        else:
            import gc
            del data, ep, stream, use, use_from_threads
            gc.collect()
        sys.exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
assert text + "".join(c.text for c in stream) == "abcdefgh" * 5
use("parent")
"""
)

INHERITED = (
    BEGIN
    + """
# A child that reads the parent's stream gets an error. The parent's stream continues.
from inferencekey import InferenceKeyError
stream = ep.generate_text_stream(prompt="abcdefgh" * 10)
text = next(stream).text
pid = os.fork()
if pid == 0:
    try:
        print(len(list(stream)))
    except InferenceKeyError as error:
        print("refused", flush=True)
    os._exit(0)
os.waitpid(pid, 0)
print(text + "".join(c.text for c in stream) == "abcdefgh" * 10)
"""
)

POOL = """
import multiprocessing, sys
from inferencekey import DataClient
data = DataClient(base_url=sys.argv[1], project="acme", api_key="k")
ep = data.endpoint("bot")

def work(n):
    return ep.generate_text(prompt=str(n)).text

if __name__ == "__main__":
    assert ep.generate_text(prompt="parent").text == "parent"
    with multiprocessing.get_context("fork").Pool(4) as pool:
        print(pool.map(work, range(20)) == [str(n) for n in range(20)])
        pool.close()
        pool.join()
    assert ep.generate_text(prompt="parent").text == "parent"
"""


@forks
@pytest.mark.parametrize(
    ("program", "printed"),
    [
        (PREFORK, "[0, 0, 0, 0]"),
        (RESPAWN, "7\n8\n9"),
        (THREADS, "[0, 0, 0, 0, 0]"),
        (UNUSED, "[0, 0, 0]"),
        (CLOSED, "0\n0"),
        (INHERITED, "refused\nTrue"),
        (POOL, "True"),
    ],
    ids=["prefork", "respawn", "threads", "unused", "closed", "inherited", "pool"],
)
@pytest.mark.parametrize("uvloop", ["1", "0"], ids=["uvloop", "asyncio"])
def test_forked_workers_use_the_parents_client(
    program: str, printed: str, uvloop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFERENCEKEY_UVLOOP", uvloop)
    with FaultServer(echo) as server:
        code, out, err = run_program(program, server.url, timeout=60)
    assert (code, out.strip(), unexpected_lines(err)) == (0, printed, [])


FIRST = """
import sys
from inferencekey import DataClient
ep = DataClient(base_url=sys.argv[1], project="acme", api_key="k").endpoint("bot")
before = set(sys.modules)
stream = ep.generate_text_stream(prompt="b")
print(ep.generate_text(prompt="a").text, "".join(c.text for c in stream))
print(sorted(set(sys.modules) - before))
"""


@pytest.mark.parametrize("uvloop", ["1", "0"], ids=["uvloop", "asyncio"])
def test_a_first_call_imports_nothing(uvloop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # A child that is forked during an import in another thread can never import that module.
    monkeypatch.setenv("INFERENCEKEY_UVLOOP", uvloop)
    with FaultServer(echo) as server:
        code, out, err = run_program(
            FIRST, server.url.replace("127.0.0.1", "localhost"), timeout=60
        )
    assert (code, out, unexpected_lines(err)) == (0, "a b\n[]\n", [])


def clients() -> list[Any]:
    common: dict[str, Any] = {"base_url": "http://127.0.0.1:9", "project": "acme"}
    made: list[Any] = []
    for data in (DataClient, AsyncDataClient):
        made += [
            data(**common),
            data(api_key=KEY, **common),
            data(**common).endpoint("bot", api_key=KEY),
        ]
    for management in (ManagementClient, AsyncManagementClient):
        made.append(management(sdk_token=TOKEN, **common))
    return made


@pytest.mark.parametrize("made", clients(), ids=lambda made: type(made).__name__)
def test_a_client_cannot_be_pickled(made: Any) -> None:
    with pytest.raises(TypeError, match="create .* in the process that uses it"):
        pickle.dumps(made)
    with pytest.raises(TypeError, match="create .* in the process that uses it"):
        copy.deepcopy(made)


def test_a_client_cannot_be_passed_to_a_spawned_process() -> None:
    data = DataClient(base_url="http://127.0.0.1:9", project="acme", api_key=KEY)
    process = multiprocessing.get_context("spawn").Process(target=print, args=(data,))
    with pytest.raises(TypeError, match="create .* in the process that uses it"):
        process.start()


SPAWN = """
import os, pathlib, subprocess, sys, tempfile, textwrap
folder = tempfile.mkdtemp()
pathlib.Path(folder, "main.py").write_text(textwrap.dedent('''
    import multiprocessing, sys
    from inferencekey import DataClient

    def work(url, text):
        with DataClient(base_url=url, project="acme", api_key="k") as data:
            return data.endpoint("bot").generate_text(prompt=text).text

    if __name__ == "__main__":
        assert work(sys.argv[1], "parent") == "parent"
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            print(pool.starmap(work, [(sys.argv[1], str(n)) for n in range(4)]))
            pool.close()
            pool.join()
'''))
command = [sys.executable, "-X", "dev", "-W", "always", folder + "/main.py", sys.argv[1]]
env = {**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), *filter(None, sys.path)])}
sys.exit(subprocess.run(command, env=env).returncode)
"""


def test_spawned_workers_make_their_own_client() -> None:
    with FaultServer(echo) as server:
        code, out, err = run_program(SPAWN, server.url, timeout=60)
    assert (code, out.strip()) == (0, "['0', '1', '2', '3']")
    assert unexpected_lines(err) == []
