"""That following a page fails where a reader would be stuck."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from followed import Block, Terminal, blocks

PAGE = """\
# Page

```bash
true
```

<!--- not followed: takes an hour -->
```bash
sleep 3600
```

```toml
project = "acme"
```

```python
print("a")
```

It prints:

```text
a
```
"""


@pytest.fixture(scope="module")
def terminal() -> Iterator[Terminal]:
    """A terminal; a test that starts Python in it leaves Python again."""
    made = Terminal()
    yield made
    made.close()


def test_the_blocks_of_a_page() -> None:
    assert blocks(PAGE) == [
        Block(3, "bash", "true\n"),
        Block(16, "python", 'print("a")\n', "a\n"),
    ]


def test_the_blocks_share_one_shell_and_one_python(terminal: Terminal) -> None:
    terminal.paste(Block(1, "bash", "export COLOUR=green\ncd docs\n"))
    terminal.paste(Block(1, "bash", 'echo "$COLOUR $(basename "$PWD")"\n', "green docs\n"))
    terminal.paste(Block(1, "bash", "python\n"))
    terminal.paste(Block(1, "python", "import os\ncolour = os.environ['COLOUR']\n"))
    terminal.paste(Block(1, "python", "print(colour, os.path.basename(os.getcwd()))", "green docs"))
    terminal.paste(Block(1, "python", "exit()\n"))


@pytest.mark.parametrize(
    "text", ["false\n", "true\nfalse\ntrue\n", "no-such-command\n", "(exit 3)\n"]
)
def test_a_command_that_fails(terminal: Terminal, text: str) -> None:
    with pytest.raises(AssertionError, match=r"a command ended with exit code \d+"):
        terminal.paste(Block(1, "bash", text))


@pytest.mark.parametrize(
    "text",
    [
        "1 / 0\n",
        "import no_such_module\n",
        # Python's prompt takes an empty line for the end of a function.
        "def double(x):\n    y = x\n\n    return 2 * y\n",
        ">>> 1\n",
    ],
)
def test_python_that_fails(terminal: Terminal, text: str) -> None:
    terminal.paste(Block(1, "bash", "python\n"))
    with pytest.raises(AssertionError, match="Python showed an error"):
        terminal.paste(Block(1, "python", text))
    terminal.paste(Block(1, "python", "exit()\n"))


def test_a_text_that_is_not_printed(terminal: Terminal) -> None:
    terminal.paste(Block(1, "bash", "echo one; echo two\n", "one\ntwo\n"))
    for expected in ("three\n", "two\none\n"):
        with pytest.raises(AssertionError, match="is missing"):
            terminal.paste(Block(1, "bash", "echo one; echo two\n", expected))


def test_python_before_it_is_started(terminal: Terminal) -> None:
    with pytest.raises(AssertionError, match="start Python first"):
        terminal.paste(Block(1, "python", "1\n"))
