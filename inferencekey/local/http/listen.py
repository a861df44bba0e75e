"""The socket that a platform listens on, and its URL."""

from __future__ import annotations

import errno
import socket

from inferencekey.local.errors import PlatformError
from inferencekey.local.http.hosts import is_wildcard

__all__ = ["BACKLOG", "base_url", "open_listener"]

BACKLOG = 1024


def open_listener(host: str, port: int) -> socket.socket:
    """Return a socket that listens on *host* and *port*; 0 stands for any free port.

    Raises:
        PlatformError: the port is in use or not permitted, or the host is not an address of this
            machine.
    """
    if not 0 <= port <= 65535:
        raise PlatformError(
            f"cannot listen on port {port}: a port must be an integer from 0 to 65535"
        )
    try:
        addresses = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, address = addresses[0]
        return socket.create_server((str(address[0]), port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise PlatformError(f"cannot listen on {host} port {port}: {_explain(error)}") from None


def _explain(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another program listens there; stop it, or choose another port"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "not permitted; choose a port above 1023"
    return f"{error.strerror or error}; choose another host"


def base_url(host: str, listener: socket.socket) -> str:
    """Return the base URL for clients; for a wildcard host, one that works on this machine."""
    port: int = listener.getsockname()[1]
    if is_wildcard(host):
        host = "::1" if ":" in host else "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
