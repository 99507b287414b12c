"""Stands in for a forge's REST API on a local socket: comments that are kept, page by page, and who may write them.

It answers as the documentation of GitHub and GitLab says, for the requests that our scripts make by the forge's own
client; any other request is a 404. What it cannot show is whether a forge has changed since.
"""

from __future__ import annotations

import json
import re
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit


class Request(NamedTuple):
    """What was asked."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    token: str


class Forge:
    """A server that runs until ``close``.

    Args:
        address: the path of a Unix socket, or a host and a port, of which 0 is any.
    """

    def __init__(self, address: Path | tuple[str, int]) -> None:
        self.requests: list[Request] = []
        forge = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                address = urlsplit(self.path)
                size = int(self.headers.get("Content-Length") or 0)
                request = Request(
                    self.command,
                    address.path,
                    {name: values[0] for name, values in parse_qs(address.query).items()},
                    json.loads(self.rfile.read(size)) if size else None,
                    self.headers.get("Authorization", "").removeprefix("token ")
                    or self.headers.get("PRIVATE-TOKEN", ""),
                )
                forge.requests.append(request)
                status, answer, headers = forge.answer(request)
                content = json.dumps(answer).encode()
                self.send_response(status)
                for name, value in {
                    "Content-Type": "application/json",
                    "Content-Length": str(len(content)),
                    **headers,
                }.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_PUT = _answer

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        if isinstance(address, Path):
            self._server: Any = socketserver.ThreadingUnixStreamServer(str(address), Handler)
        else:
            self._server = socketserver.ThreadingTCPServer(address, Handler)
        self._server.daemon_threads = True
        self.address = self._server.server_address
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: Request) -> tuple[int, Any, dict[str, str]]:
        """Return status, content and headers of the answer."""
        raise NotImplementedError


class GitHub(Forge):
    """Pull requests and the comments on them.

    Args:
        token: the one that may comment; with any other everything may be read.
        comments: those that are there, of their author and text.
        page: how many of anything an answer has, whatever was asked for.
    """

    def __init__(self, address: Path, token: str, comments: list[tuple[str, str]], page: int = 100) -> None:
        self._token, self._page = token, page
        self.comments = [
            {"id": 5_000_000_000 + n, "user": {"login": who}, "body": body} for n, (who, body) in enumerate(comments)
        ]
        self.pulls: list[dict[str, Any]] = []
        super().__init__(address)

    def answer(self, request: Request) -> tuple[int, Any, dict[str, str]]:
        """Answer as the REST API does."""
        if not request.token or request.token == "unknown":
            return 401, {"message": "Bad credentials"}, {}
        if request.path == "/graphql":
            return 200, {"data": {"viewer": {"login": "github-actions[bot]"}}}, {}
        listed = {"/repos/o/r/issues/7/comments": self.comments, "/repos/o/r/pulls": self._found(request)}
        if request.method == "GET" and request.path in listed:
            return 200, *self._paged(request, listed[request.path])
        if request.token != self._token:
            return 403, {"message": "Resource not accessible by integration"}, {}
        if request.method == "POST" and request.path == "/repos/o/r/issues/7/comments":
            number = 6_000_000_000 + len(self.comments)
            self.comments.append({"id": number, "user": {"login": "github-actions[bot]"}, **request.body})
            return 201, {**self.comments[-1], "html_url": "https://github.com/o/r/pull/7#new"}, {}
        for comment in self.comments:
            if request.method == "PATCH" and request.path == f"/repos/o/r/issues/comments/{comment['id']}":
                comment.update(request.body)
                return 200, {**comment, "html_url": "https://github.com/o/r/pull/7#old"}, {}
        return 404, {"message": "Not Found"}, {}

    def _found(self, request: Request) -> list[dict[str, Any]]:
        return [each for each in self.pulls if each["head"]["label"] == request.query.get("head")]

    def _paged(self, request: Request, listed: list[Any]) -> tuple[Any, dict[str, str]]:
        page = int(request.query.get("page", 1))
        part = listed[(page - 1) * self._page : page * self._page]
        if page * self._page >= len(listed):
            return part, {}
        return part, {"Link": f'<https://api.github.com{request.path}?page={page + 1}>; rel="next"'}


class GitLab(Forge):
    """The notes of a merge request.

    Args:
        token: the one that may write notes.
        notes: those that are there, of their author's number and text.
    """

    ME = 42

    def __init__(self, token: str, notes: list[tuple[int, str]], page: int = 20) -> None:
        self._token, self._page = token, page
        self.notes = [{"id": n + 1, "author": {"id": who}, "body": body} for n, (who, body) in enumerate(notes)]
        super().__init__(("127.0.0.1", 0))

    def answer(self, request: Request) -> tuple[int, Any, dict[str, str]]:
        """Answer as the REST API does."""
        notes = "/api/v4/projects/9/merge_requests/7/notes"
        if request.token != self._token:
            return 401, {"message": "401 Unauthorized"}, {}
        if request.path == "/api/v4/user":
            return 200, {"id": self.ME, "username": "bot"}, {}
        if (request.method, request.path) == ("GET", notes):
            page = int(request.query.get("page", 1))
            part = self.notes[(page - 1) * self._page : page * self._page]
            more = {"Link": f'<http://127.0.0.1:{self.address[1]}{notes}?page={page + 1}>; rel="next"'}
            return 200, part, more if page * self._page < len(self.notes) else {}
        if (request.method, request.path) == ("POST", notes):
            self.notes.append({"id": len(self.notes) + 1, "author": {"id": self.ME}, **request.body})
            return 201, self.notes[-1], {}
        found = re.fullmatch(rf"{notes}/(\d+)", request.path)
        if found and request.method == "PUT":
            self.notes[int(found[1]) - 1].update(request.body)
            return 200, self.notes[int(found[1]) - 1], {}
        return 404, {"message": "404 Not Found"}, {}
