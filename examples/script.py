"""A question on the command line; the answer is printed while it is generated.

    pip install .   # in a checkout of inferencekey
    export INFERENCEKEY_PROJECT=acme INFERENCEKEY_API_KEY=ik_live_…
    python examples/script.py "How do I cancel my order?"

Ctrl-C stops the script and the generation. The exit code is 0 for a complete answer, 1 for an
error, and 130 after Ctrl-C.
"""

from __future__ import annotations

import os
import sys

from inferencekey import DataClient, InferenceKeyError, StreamInterrupted


def main() -> int:
    prompt = " ".join(sys.argv[1:]) or "Hello! Who are you?"
    try:
        with DataClient.from_env() as data:
            bot = data.endpoint(os.environ.get("WORKLOAD", "support-bot"))
            with bot.generate_text_stream(prompt) as stream:
                for chunk in stream:
                    print(chunk.text, end="", flush=True)
        print()
    except StreamInterrupted:
        # The text that arrived is on the screen, and in the error's partial_text.
        print("\n[the answer is not complete: the connection broke]", file=sys.stderr)
        return 1
    except InferenceKeyError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print()
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
