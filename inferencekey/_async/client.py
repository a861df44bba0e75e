"""The base of the two clients: their options, the variables they read, and how they close."""

from __future__ import annotations

import ssl as ssl_module
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from inferencekey import config
from inferencekey._http.sessions import SessionFactory
from inferencekey._http.transport import Transport
from inferencekey.models import RetryPolicy, Timeouts

__all__ = ["BaseClient"]


class BaseClient:
    """The base of the two clients. Their docstrings document the arguments."""

    def __init__(
        self,
        *,
        base_url: str,
        project: str | None,
        timeout: Timeouts | float | None,
        retry: RetryPolicy | None,
        headers: Mapping[str, str] | None,
        proxy: str | None,
        ssl: ssl_module.SSLContext | bool,
        session_factory: SessionFactory | None,
    ) -> None:
        self._project = config.setting(project, "", {})
        self._transport = Transport(
            base_url=config.base_url(base_url, {}),
            timeout=timeout,
            retry=retry,
            headers=headers,
            proxy=proxy,
            ssl=ssl,
            session_factory=session_factory,
        )

    @classmethod
    def _from_env(cls, *, base_url: str | None, project: str | None, **options: Any) -> Self:
        """Make a client, with the two settings that every client reads from the environment.

        Args:
            base_url: the explicit argument; ``None`` for the variable.
            project: the explicit argument; ``None`` for the variable.
            options: the other arguments of the constructor.
        """
        return cls(
            base_url=config.base_url(base_url),
            project=config.setting(project, config.PROJECT_VARIABLE),
            **options,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self.base_url!r}, project={self.project!r})"

    @property
    def base_url(self) -> str:
        """The platform's URL, without a trailing slash."""
        return self._transport.base_url

    @property
    def project(self) -> str | None:
        """The project of calls that name none."""
        return self._project

    async def aclose(self) -> None:
        """Close the connections. Open streams end."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
