"""``inferencekey token``: mint, list and revoke the local platform's tokens.

The commands work on the data directory, whether the platform runs or not.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inferencekey.cli.options import DataDir, Json, only_text
from inferencekey.cli.printing.failures import CommandError
from inferencekey.cli.printing.output import note, print_json, print_text
from inferencekey.credentials import redacted_token, token_id

if TYPE_CHECKING:
    from inferencekey.local.records import Token

__all__ = ["app"]

app = typer.Typer(
    help="Mint, list and revoke the local platform's tokens.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


# A copy of inferencekey.local.store.tokens.ALL_SCOPES, which a test compares: the import would
# make --help slow.
SCOPES = "workload:write, assignment:write, workload:read"


def _show(token: str, data: Path | None, json: bool) -> None:
    from inferencekey.local.defaults import default_data_dir

    if json:
        print_json({"token": token}, secret=True)
    else:
        print_text(token, secret=True)
        note("This token is not shown again.")
        note(f"It is valid for the platform whose data is in {data or default_data_dir()}.")


@app.command("sdk")
@only_text
def sdk(
    project: Annotated[
        str, typer.Argument(metavar="PROJECT", help="The project that the token gives access to.")
    ],
    scope: Annotated[
        list[str] | None,
        typer.Option(metavar="SCOPE", help=f"One of {SCOPES}. Repeat it for several."),
    ] = None,
    data: DataDir = None,
    json: Json = False,
) -> None:
    """Mint a control token (ik_sdk_) for one project."""
    from inferencekey.local.store import open_store
    from inferencekey.local.store.tokens import DEFAULT_SCOPES

    with open_store(data) as store:
        _show(store.mint_sdk_token(project, scope or DEFAULT_SCOPES).text, data, json)


@app.command("live")
@only_text
def live(
    grants: Annotated[
        list[str],
        typer.Argument(
            metavar="PROJECT/WORKLOAD|PROJECT/*", help="What the key may call: one or several."
        ),
    ],
    data: DataDir = None,
    json: Json = False,
) -> None:
    """Mint a data key (ik_live_) for workloads, or for a whole project.

    The workloads need not exist yet.
    """
    from inferencekey.local.store import open_store

    with open_store(data) as store:
        _show(store.mint_live_token(*grants).text, data, json)


@app.command("list")
@only_text
def list_tokens(data: DataDir = None, json: Json = False) -> None:
    """List the tokens, without their secrets."""
    from inferencekey.local.store import open_store

    with open_store(data) as store:
        tokens = store.tokens()
    if json:
        print_json([_row(token) for token in tokens])
        return
    for token in tokens:
        row = _row(token)
        state = "revoked" if token.revoked_at else "valid"
        shown = redacted_token(token.kind, token.id)
        print_text(f"{shown}  {state:<7}  {row['created_at']}  {_access(token)}")
    if not tokens:
        note(
            "no tokens yet; mint one with: inferencekey token sdk PROJECT, "
            "or: inferencekey token live 'PROJECT/*'"
        )


def _access(token: Token) -> str:
    if token.kind == "live":
        return ", ".join(token.grants)
    return f"{token.project} ({', '.join(token.scopes)})"


def _row(token: Token) -> dict[str, object]:
    revoked_at = token.revoked_at
    return {
        "id": token.id,
        "kind": token.kind,
        "project": token.project,
        "scopes": list(token.scopes),
        "grants": list(token.grants),
        "created_at": token.created_at.isoformat(timespec="seconds"),
        "revoked_at": revoked_at and revoked_at.isoformat(timespec="seconds"),
    }


@app.command("revoke")
@only_text
def revoke(
    token: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="The id of the token (the 8 characters in its middle), or the whole token.",
        ),
    ],
    data: DataDir = None,
    json: Json = False,
) -> None:
    """Revoke a token. The platform refuses it from the next request on."""
    from inferencekey.local.store import open_store

    name = token_id(token)
    with open_store(data) as store:
        found = store.revoke_token(name) or any(known.id == name for known in store.tokens())
    if not found:
        raise CommandError(f"there is no token {name[:8]!r}; `inferencekey token list` shows them")
    if json:
        print_json({"revoked": name})
    else:
        note(f"revoked {name}")
