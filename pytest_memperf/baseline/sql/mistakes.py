"""What databases complain of, in one line with its mend."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.exc import SQLAlchemyError

from pytest_memperf.model.errors import UsageMistake

_REACH = "check host and port, and that the server runs and can be reached from here"
_BY_STATE = {
    "25006": "name a server that takes changes, or a user who may make them",
    "28000": "mend the user or the password, which PGPASSWORD or ~/.pgpass can hold",
    "28P01": "mend the user or the password, which PGPASSWORD or ~/.pgpass can hold",
    "3D000": "make it with createdb, or name another one",
    "42501": "let its owner GRANT SELECT, INSERT, UPDATE and DELETE on all tables of memperf to this user",
    "53100": "free some space on the server",
    "53300": "try again when fewer are connected, or raise max_connections",
    "55P03": "somebody else keeps it locked, try again later",
}
"""Mends by PostgreSQL's codes of errors, see its manual, appendix A."""
_BY_TEXT = {
    "password": _BY_STATE["28P01"],
    "authentication": _BY_STATE["28P01"],
    "pg_hba": "let the server's pg_hba.conf take this user from here",
    "role": _BY_STATE["28P01"],
    "host name": _REACH,
    "connection slots": _BY_STATE["53300"],
    "does not exist": _BY_STATE["3D000"],
    "no schema has been selected": "make the schema that search_path names, or name another one",
    "too many": _BY_STATE["53300"],
    "connection": _REACH,
    "locked": "somebody else is writing, try again later, or wait longer by ?timeout=SECONDS",
    "readonly": "mend the rights of the file and its folder, or name another one with --memperf-storage",
    "unable to open": "mend the rights of the file and its folder, or name another one with --memperf-storage",
    "full": "free some space, or name another file with --memperf-storage",
    "disk i/o": "free some space, or name another file with --memperf-storage",
    "not a database": "name another file with --memperf-storage",
    "malformed": "take a copy of it from before, or name another file with --memperf-storage",
}
"""By parts of what sqlite and libpq write; the first that fits."""
_OTHERWISE = "name another storage with --memperf-storage"


def mistake_of(error: SQLAlchemyError, described: str, what: str, secrets: Sequence[str]) -> UsageMistake:
    """Return the error as one line; what the program sent, with results and the like, is not in it.

    Args:
        what: ``read`` or ``written``.
        secrets: what is not to be seen, should the driver repeat it.
    """
    cause = getattr(error, "orig", None) or error
    reason = " ".join(str(cause).split()) or type(cause).__name__
    for secret in secrets:
        reason = reason.replace(secret, "***")
    mend = _BY_STATE.get(getattr(cause, "sqlstate", None) or "")
    if mend is None:
        mend = next((mend for part, mend in _BY_TEXT.items() if part in reason.lower()), _OTHERWISE)
    return UsageMistake(f"{described} cannot be {what} ({reason}): {mend}")
