"""A question from the command line, answered as it is generated.

    pip install /path/to/the/checkout
    export INFERENCEKEY_PROJECT=acme INFERENCEKEY_API_KEY=ik_live_…
    python script.py "How do I cancel my order?"

Ctrl-C stops the generation as well as the script. The exit code is 0 for a whole answer, 1 for an error, 130 after Ctrl-C.
"""

from __future__ import annotations

import os
import sys

from inferencekey import DataClient, InferenceKeyError, StreamInterrupted


def main() -> int:
    prompt = " ".join(sys.argv[1:]) or "Hello! Who are you?"
    try:
        with (
            DataClient.from_env() as data,
            data.endpoint(os.environ.get("WORKLOAD", "support-bot")).generate_text_stream(
                prompt
            ) as stream,
        ):
            for chunk in stream:
                print(chunk.text, end="", flush=True)
        print()
    except StreamInterrupted:  # what had arrived is on the screen, and in the error's partial_text
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
