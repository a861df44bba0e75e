"""The proxy of a client: the argument, else the environment's; never for loopback addresses."""

from __future__ import annotations

import os
from urllib import request
from urllib.parse import urlsplit

from inferencekey._core.proxies import excluded_hosts, is_excluded, passwords_of
from inferencekey._http.credential import HiddenStr
from inferencekey.config import checked_url, is_loopback

__all__ = ["proxy_for", "secrets_of"]


def proxy_for(base_url: str, argument: str | None) -> str | None:
    """Return the URL of the proxy for a base URL, or ``None``.

    Raises:
        ConfigurationError: the proxy's URL is not that of an HTTP proxy.
    """
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if is_loopback(host):
        return None
    if argument is not None:
        return _checked(argument, "proxy=") if argument else None
    if is_excluded(base_url, excluded_hosts(os.environ)):
        return None
    proxies: dict[str, str] = request.getproxies_environment()
    found = proxies.get(parts.scheme) or proxies.get("all")
    if found and "://" not in found:
        found = f"http://{found}"
    return _checked(found, "the environment's proxy") if found else None


def secrets_of(proxy: str | None) -> tuple[str, ...]:
    """Return what a proxy may echo that nobody else is to see."""
    return () if proxy is None else tuple(map(HiddenStr, passwords_of(proxy)))


def _checked(url: str, which: str) -> str:
    hint = 'Only HTTP proxies are supported; proxy="" uses none.'
    checked_url(url, which, examples="http://proxy:3128", hint=hint)
    return HiddenStr(url)  # it may contain a password
