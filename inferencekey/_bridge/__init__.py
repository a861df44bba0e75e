"""Sync over async: the only thread code. One event-loop thread per process serves every sync client.

Rules:

* the calling thread waits; Ctrl-C in it cancels the call upstream and waits for the cancellation before it is raised;
* a call from inside a running loop blocks that loop, as any sync call does, and works;
* callbacks run in the calling thread, which serves them while it waits;
* a forked child starts a thread of its own, on its first call, and never touches the parent's sockets;
* at interpreter exit the loop ends in order: calls are cancelled, sessions closed, the thread joined.
"""

from inferencekey._bridge.call import run
from inferencekey._bridge.read_ahead import SyncStream

__all__ = ["SyncStream", "run"]
