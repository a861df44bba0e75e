"""Runs the async clients for sync callers.

One thread per process runs the event loop of every sync client.

Rules:

* The calling thread waits for its call. Ctrl-C in it cancels the call, waits until the connection
  is closed, and is raised then.
* A sync call inside a running event loop blocks that loop, as any blocking call does, and works.
* Callbacks run in the calling thread, while it waits.
* A forked child starts a thread of its own with its first call. It never touches the parent's
  sockets.
* At interpreter exit the loop ends in this order: calls are cancelled, sessions closed, the thread
  joined.

``loop_thread`` owns the thread, ``call`` runs one coroutine on it, ``read_ahead`` reads a stream on
it, and ``wakeup`` wakes a thread that waits for a stream. No other code of the
clients starts a thread.
"""

from inferencekey._bridge.call import run
from inferencekey._bridge.read_ahead import SyncStream

__all__ = ["SyncStream", "run"]
