"""Which proxy a client goes through: the argument, else the environment's; loopback never."""

from __future__ import annotations

from urllib import request
from urllib.parse import urlsplit

from inferencekey.config import is_loopback

__all__ = ["proxy_for"]


def proxy_for(base_url: str, argument: str | None) -> str | None:
    """Return the proxy's URL for a base URL, or ``None``."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if is_loopback(host):
        return None
    if argument is not None:
        return argument or None
    # Typeshed knows these two on some platforms only.
    if request.proxy_bypass_environment(parts.netloc.rpartition("@")[2]):  # type: ignore[attr-defined] # pyright: ignore
        return None
    proxies: dict[str, str] = request.getproxies_environment()
    found = proxies.get(parts.scheme) or proxies.get("all")
    if found and "://" not in found:
        found = f"http://{found}"
    return found or None
