"""The client of the data plane, which calls workloads."""

from __future__ import annotations

import ssl as ssl_module
from collections.abc import Mapping
from typing import Self

from inferencekey import config
from inferencekey._async.client import BaseClient
from inferencekey._async.endpoint import AsyncEndpoint
from inferencekey._core.slugs import checked_project, checked_slug
from inferencekey._http.credential import Credential
from inferencekey._http.sessions import SessionFactory
from inferencekey.errors import ConfigurationError
from inferencekey.models import RetryPolicy, Timeouts

__all__ = ["AsyncDataClient"]


class AsyncDataClient(BaseClient):
    """Calls workloads with ``ik_live_`` keys.

    Make one client and share it: one serves a whole process.

    Args:
        base_url: the platform's URL, ``https://api.inferencekey.com`` by default.
        project: the project whose workloads are called.
        api_key: the key of endpoints that get no key of their own.
        timeout: deadlines: a :class:`Timeouts`, or seconds. Seconds limit the whole of a call whose
            result is returned whole, and each wait of a stream.
        retry: when a failed request is sent again; ``None`` for never.
        headers: sent with every request.
        proxy: the URL of an http proxy. The default is the proxy of the environment; ``""`` is for
            no proxy. Requests to loopback addresses never go through a proxy.
        ssl: an SSL context with a custom CA or a client certificate. ``True`` trusts the CAs of the
            system; ``False`` verifies nothing.
        session_factory: makes the aiohttp sessions, one for each event loop. The factory then
            decides about TLS, and *ssl* has no effect.

    Raises:
        ConfigurationError: *base_url* is not a base URL.
        ValidationError: a header or the project cannot be sent.
    """

    def __init__(
        self,
        *,
        base_url: str = config.DEFAULT_BASE_URL,
        project: str | None = None,
        api_key: str | None = None,
        timeout: Timeouts | float | None = None,
        retry: RetryPolicy | None = RetryPolicy(),
        headers: Mapping[str, str] | None = None,
        proxy: str | None = None,
        ssl: ssl_module.SSLContext | bool = True,
        session_factory: SessionFactory | None = None,
    ) -> None:
        super().__init__(
            base_url=base_url,
            project=project,
            timeout=timeout,
            retry=retry,
            headers=headers,
            proxy=proxy,
            ssl=ssl,
            session_factory=session_factory,
        )
        # A Credential, because its repr does not show the key.
        key = config.setting(api_key, "", {})
        self._api_key = None if key is None else Credential(key)

    @classmethod
    def from_env(
        cls,
        *,
        base_url: str | None = None,
        project: str | None = None,
        api_key: str | None = None,
        timeout: Timeouts | float | None = None,
        retry: RetryPolicy | None = RetryPolicy(),
        headers: Mapping[str, str] | None = None,
        proxy: str | None = None,
        ssl: ssl_module.SSLContext | bool = True,
        session_factory: SessionFactory | None = None,
    ) -> Self:
        """Make a client from the environment.

        The variables are ``INFERENCEKEY_BASE_URL``, ``INFERENCEKEY_PROJECT`` and
        ``INFERENCEKEY_API_KEY``.

        The arguments are those of the constructor. An explicit argument is used instead of its
        variable. A blank variable counts as not set.
        """
        return cls._from_env(
            base_url=base_url,
            project=project,
            api_key=config.setting(api_key, config.API_KEY_VARIABLE),
            timeout=timeout,
            retry=retry,
            headers=headers,
            proxy=proxy,
            ssl=ssl,
            session_factory=session_factory,
        )

    def endpoint(self, slug: str, *, api_key: str | None = None) -> AsyncEndpoint:
        """Return the endpoint of one workload. No request is made.

        Args:
            slug: the workload's slug, in any form; it is canonicalised.
            api_key: the key for this workload, instead of the client's.

        Raises:
            ConfigurationError: there is no project, or no key.
            PermissionDenied: the key is an ``ik_sdk_`` token (``wrong_credential_type``).
            ValidationError: the canonical slug is empty, or the project cannot be part of a path.
        """
        workload = checked_slug(slug)
        if self._project is None:
            raise ConfigurationError(
                "No project configured. Set INFERENCEKEY_PROJECT or pass project=."
            )
        given = config.setting(api_key, "", {})
        if given is None and self._api_key is not None:
            given = self._api_key.reveal()
        key = config.check_data_key(given, workload)
        return AsyncEndpoint(
            self._transport, checked_project(self._project), workload, Credential(key)
        )
