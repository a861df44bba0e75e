"""Which hosts are reached without a proxy, as ``NO_PROXY`` says it, and what a proxy's URL hides.

``NO_PROXY`` has no standard. The rules here are those that curl and Go share, and where only one of
them knows a form, that form:

* Entries are separated by commas or white space, and letter case does not matter.
* ``*`` is every host.
* ``example.com`` and ``.example.com`` are the host and every host below it; ``*.example.com`` only
  those below it.
* ``10.1.2.3``, ``::1`` and ``[::1]`` are an address, ``10.0.0.0/8`` and ``fd00::/8`` a network. A
  host name is never looked up to find its address.
* A port after it, as in ``example.com:8080`` and ``[::1]:80``, limits an entry to that port.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import unquote, urlsplit

__all__ = ["excluded_hosts", "is_excluded", "passwords_of"]

_PORT = re.compile(r"(?P<host>.*):(?P<port>[0-9]{1,5})", re.DOTALL)

_DEFAULT_PORTS = {"http": 80, "https": 443}


def excluded_hosts(environ: Mapping[str, str]) -> str:
    """Return the entries of ``NO_PROXY`` and ``no_proxy``: programs differ in which one counts."""
    return ",".join(environ.get(name, "") for name in ("no_proxy", "NO_PROXY"))


def is_excluded(url: str, no_proxy: str) -> bool:
    """Whether a URL is to be reached without a proxy.

    Args:
        url: the URL, with its host in ASCII.
        no_proxy: the entries.
    """
    parts = urlsplit(url)
    host = _name(parts.hostname or "")
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    address = _address(host)
    return any(_covers(entry, host, address, port) for entry in re.split(r"[,\s]+", no_proxy))


def passwords_of(url: str) -> tuple[str, ...]:
    """Return the password in a proxy's URL as it is written there, and unquoted."""
    password = urlsplit(url).password
    return () if not password else tuple(dict.fromkeys((password, unquote(password))))


def _covers(
    entry: str, host: str, address: IPv4Address | IPv6Address | None, port: int | None
) -> bool:
    if entry == "*":
        return True
    # Of a bare IPv6 address, the part behind the last colon is no port.
    if _address(entry) is None and (match := _PORT.fullmatch(entry)) is not None:
        if "/" in match["host"] or int(match["port"]) != port:
            return False
        entry = match["host"]
        if entry == "*":
            return True
    if address is not None:
        if "/" in entry:
            return _is_in_network(address, entry)
        return _address(entry) == address
    below = entry.startswith("*.")
    name = _name(entry.removeprefix("*").lstrip("."))
    if not name or "/" in name:
        return False
    return host.endswith(f".{name}") or (host == name and not below)


def _is_in_network(address: IPv4Address | IPv6Address, entry: str) -> bool:
    try:
        network = ip_network(entry.replace("[", "").replace("]", ""), strict=False)
    except ValueError:
        return False
    return address.version == network.version and address in network


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.removeprefix("[").removesuffix("]").partition("%")[0])
    except ValueError:
        return None
    # ::ffff:10.1.2.3 is another way to write 10.1.2.3.
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def _name(text: str) -> str:
    text = text.lower().rstrip(".")
    try:
        return text if text.isascii() else text.encode("idna").decode()
    except UnicodeError:
        return text
