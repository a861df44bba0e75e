"""The first step of every route: check the token, and find the workload of the path."""

from __future__ import annotations

from aiohttp import web

from inferencekey._core.slugs import canonical_slug
from inferencekey.local.http.authorisation import Need, authorise
from inferencekey.local.http.errors import HTTPRefusal
from inferencekey.local.records import StoredWorkload, Token
from inferencekey.local.store import Store

__all__ = ["Admission", "bearer_token", "no_workload"]


class Admission:
    """Checks whether a request may use a route, and raises an exception if not.

    A route calls it before it reads the body, so that a caller without a valid token cannot make
    the platform read a large body.

    Args:
        store: the tokens and the workloads.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def admit_to_project(self, request: web.Request, scopes: frozenset[str]) -> str:
        """Return the project of the path, after checking that the token has one of *scopes* in it.

        Raises:
            HTTPRefusal: 401 or 403.
        """
        project = request.match_info["project"]
        self.require(request, Need("sdk", project, scopes))
        return project

    def admit_to_own_project(self, request: web.Request, scopes: frozenset[str]) -> str:
        """Return the token's project, after checking that it has one of *scopes*.

        This is for paths that contain no project.

        Raises:
            HTTPRefusal: 401 or 403.
        """
        token = self._token(request)
        project = (token and token.project) or ""
        self.require(request, Need("sdk", project, scopes))
        return project

    def admit_to_workload(self, request: web.Request, scopes: frozenset[str]) -> StoredWorkload:
        """Return the workload whose id is in the path, after checking the token.

        Raises:
            HTTPRefusal: 401 or 403; 404 if the workload does not exist.
        """
        workload_id = request.match_info["id"]
        workload = self._store.workload_by_id(workload_id)
        if workload is None:
            # There is no project to check, so the token is checked against its own: a caller
            # without any permission gets 401 or 403 for every id, whether it exists or not.
            self.admit_to_own_project(request, scopes)
            raise no_workload_with_id(workload_id)
        self.require(request, Need("sdk", workload.project, scopes))
        return workload

    def admit_call(self, request: web.Request) -> StoredWorkload:
        """Return the workload that a path of the data plane names, after checking the key.

        Raises:
            HTTPRefusal: 401 or 403; 404 if the workload does not exist.
        """
        project, slug = _path(request)
        self.require(request, Need("live", project, workload=slug))
        return self._workload(project, slug)

    def find_workload(self, request: web.Request) -> StoredWorkload:
        """Return the workload that the path names. The caller has checked the token already.

        Raises:
            HTTPRefusal: 404 if the workload does not exist.
        """
        return self._workload(*_path(request))

    def require(self, request: web.Request, need: Need) -> None:
        """Check that the request's token is enough for *need*.

        Raises:
            HTTPRefusal: 401 or 403.
        """
        refusal = authorise(self._token(request), need)
        if refusal is not None:
            raise refusal

    def _workload(self, project: str, slug: str) -> StoredWorkload:
        workload = self._store.workload(project, slug)
        if workload is None:
            raise no_workload(project, slug)
        return workload

    def _token(self, request: web.Request) -> Token | None:
        text = bearer_token(request)
        return None if text is None else self._store.token(text)


def bearer_token(request: web.Request) -> str | None:
    """Return the token of the header ``Authorization: Bearer …``; ``None`` if there is none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    return token.strip() or None


def no_workload(project: str, slug: str) -> HTTPRefusal:
    """Return the refusal of a request for a workload that does not exist."""
    message = f"no workload {slug!r} in the project {project!r}"
    return HTTPRefusal(404, message, code="workload_not_found")


def no_workload_with_id(workload_id: str) -> HTTPRefusal:
    """Return the refusal of a request for an id that no workload has."""
    return HTTPRefusal(404, f"no workload with the id {workload_id!r}")


def _path(request: web.Request) -> tuple[str, str]:
    return request.match_info["project"], canonical_slug(request.match_info["slug"])
