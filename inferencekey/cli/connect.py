"""The management client that a command uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferencekey.cli.printing.failures import CommandError

if TYPE_CHECKING:
    from inferencekey import AsyncManagementClient

__all__ = ["connect", "project_of"]


def connect(base_url: str | None, project: str | None = None) -> AsyncManagementClient:
    """Return a client with the settings of the options, and of the environment for the rest.

    There is no option for a token, because every user of the machine can read command lines.

    Raises:
        ConfigurationError: there is no token, or a setting is wrong.
    """
    from inferencekey import AsyncManagementClient

    return AsyncManagementClient.from_env(base_url=base_url, project=project)


def project_of(mgmt: AsyncManagementClient) -> str:
    """Return the client's project.

    Raises:
        CommandError: there is none.
    """
    if mgmt.project is None:
        raise CommandError("No project configured. Pass --project or set INFERENCEKEY_PROJECT.")
    return mgmt.project
