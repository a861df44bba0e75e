"""Two stores of one process on one file, beside a store of another process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from inferencekey.local.store.store import Store

MINT = """
import sys
from pathlib import Path
from inferencekey.local.store.store import Store
with Store(Path(sys.argv[1])) as store:
    print(store.mint_sdk_token("acme").text)
"""


def test_a_second_store_of_the_process_does_not_cut_off_the_first(tmp_path: Path) -> None:
    path = tmp_path / "platform.db"
    with Store(path) as first:
        assert first.tokens() == []
        with Store(path) as second:
            assert first.token(second.mint_sdk_token("acme").text) is not None
        # The first process would remove the write-ahead log. What the next ones write would then
        # not be seen.
        for _ in range(3):
            done = subprocess.run(
                [sys.executable, "-c", MINT, str(path)],
                capture_output=True,
                text=True,
                check=True,
                timeout=60,
            )
            assert first.token(done.stdout.strip()) is not None
