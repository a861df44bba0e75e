"""Which requests are served: the rules against DNS rebinding and cross-site requests.

A web page can make its visitor's browser send requests to this machine. If the page's own domain
name resolves to 127.0.0.1 (DNS rebinding), the page can read the responses as well. Therefore the
header ``Host`` must be a name or address of this machine, and the header ``Origin``, which
browsers send, must be the platform's own.
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
    """The hosts and origins that requests may have.

    Args:
        host: the host that the platform listens on.
        machine: this machine's name, which is allowed if *host* is a wildcard.
    """

    host: str
    machine: str

    def reason_to_refuse(self, headers: Mapping[str, str]) -> str | None:
        """Return why a request with these headers is refused; ``None`` if it is not."""
        authority = headers.get("Host", "")
        if not self.allows(authority):
            return f"the host {authority!r} is not served here"
        origin = headers.get("Origin")
        if origin is not None and not _is_same_origin(origin, authority):
            return f"requests from pages of the origin {origin!r} are refused"
        # Browsers send this header with requests that have no `Origin`, such as images.
        if headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return "requests from pages of other sites are refused"
        return None

    def allows(self, authority: str) -> bool:
        """Whether the header ``Host: authority`` names this platform."""
        name = _hostname(authority)
        if name is None:
            return False
        if is_loopback(name) or name == self.host.lower():
            return True
        return is_wildcard(self.host) and (_is_address(name) or name == self.machine.lower())


def is_wildcard(host: str) -> bool:
    """Whether a socket that listens on *host* listens on every address of this machine."""
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
    """Return the host of ``host[:port]`` in lower case; ``None`` if it has another form."""
    # `urlsplit` would accept these, and return only a part as the host.
    if any(c in authority for c in "/@?#\\ "):
        return None
    try:
        parts = urlsplit(f"//{authority}")
        _ = parts.port  # Reading the attribute checks the port.
    except ValueError:
        return None
    return parts.hostname


def _is_same_origin(origin: str, authority: str) -> bool:
    return origin.lower() in (f"http://{authority.lower()}", f"https://{authority.lower()}")
