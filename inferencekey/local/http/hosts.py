"""Which requests come from where they should: the rules against DNS rebinding and cross-site requests.

A web page can make its visitor's browser send requests to this machine. Under a name of its own that it points at
127.0.0.1, it could even read the answers. So the ``Host`` must be one that only this machine has, and a browser's
``Origin`` must be the platform itself.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

import attrs

from inferencekey.config import is_loopback

__all__ = ["HostRules", "is_wildcard"]


@attrs.frozen
class HostRules:
    """What a request may say about where it goes.

    Args:
        host: what the platform was told to listen on.
        machine: this machine's own name; it counts when *host* is a wildcard.
    """

    host: str
    machine: str

    def reason_to_refuse(self, headers: Mapping[str, str]) -> str | None:
        """Return why these headers are refused; ``None`` when they are not."""
        authority = headers.get("Host", "")
        if not self.allows(authority):
            return f"the host {authority!r} is not served here"
        origin = headers.get("Origin")
        if origin is not None and not _is_same_origin(origin, authority):
            return f"requests from pages of the origin {origin!r} are refused"
        if headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return "requests from pages of other sites are refused"
        return None

    def allows(self, authority: str) -> bool:
        """Whether ``Host: authority`` names this platform."""
        name = _hostname(authority)
        if name is None:
            return False
        if is_loopback(name) or name == self.host.lower():
            return True
        return is_wildcard(self.host) and (_is_address(name) or name == self.machine.lower())


def is_wildcard(host: str) -> bool:
    """Whether listening on *host* means every address of this machine."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return host == ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _hostname(authority: str) -> str | None:
    """Return the host of ``host[:port]`` in lower case; ``None`` when it is not of that form."""
    if any(c in authority for c in "/@?#\\ "):
        return None
    try:
        parts = urlsplit(f"//{authority}")
        _ = parts.port  # reading it is what checks it
    except ValueError:
        return None
    return parts.hostname


def _is_same_origin(origin: str, authority: str) -> bool:
    return origin.lower() in (f"http://{authority.lower()}", f"https://{authority.lower()}")
