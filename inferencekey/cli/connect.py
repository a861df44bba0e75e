"""A client made from a command's options and the environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferencekey.cli.failures import CommandError

if TYPE_CHECKING:
    from inferencekey import AsyncManagementClient

__all__ = ["connect", "project_of"]


def connect(base_url: str | None, project: str | None = None) -> AsyncManagementClient:
    """Return a client: the options, else ``INFERENCEKEY_BASE_URL`` and the others.

    A token is never an option: everyone on the machine can read a command line.

    Raises:
        ConfigurationError: there is no token, or something is not what it should be.
    """
    from inferencekey import AsyncManagementClient

    return AsyncManagementClient.from_env(base_url=base_url, project=project)


def project_of(mgmt: AsyncManagementClient) -> str:
    """Return the client's project.

    Raises:
        CommandError: it has none.
    """
    if mgmt.project is None:
        raise CommandError("No project configured. Pass --project or set INFERENCEKEY_PROJECT.")
    return mgmt.project
