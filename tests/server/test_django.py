"""A Django project driven end to end: the admin with its static files, forms, sessions in sqlite, uploads, files."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.server.conftest import APPS, Serving, make
from tricorn.testing import Server

SERVING = Serving("", options=("--request-memory=64K",))
LARGE = bytes(range(256)) * 4096 * 8


@pytest.fixture(scope="module")
def server(mpm: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The project with a database of its own and one superuser."""
    data = {
        "DJANGO_SITE_DATA": str(tmp_path_factory.mktemp("django")),
        "DJANGO_SETTINGS_MODULE": "django_site.settings",
    }
    superuser = {"DJANGO_SUPERUSER_PASSWORD": "a-good-password"}
    for arguments in (
        ["migrate", "-v0"],
        ["createsuperuser", "--noinput", "--username=root", "--email=root@localhost"],
    ):
        command = [sys.executable, "-m", "django", *arguments]
        environment = {**os.environ, **data, **superuser, "PYTHONPATH": str(APPS)}
        subprocess.run(command, cwd=APPS, env=environment, check=True, capture_output=True)
    serving = Serving("django_site.wsgi", options=SERVING.options, environment=data)
    running = make(mpm, serving)
    running.application = "django_site.wsgi"  # found from the working directory, as an operator would serve it
    with running:
        yield running


@pytest.fixture
def http(server: Server) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


def _token(page: str) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert found, page
    return found[1]


def test_a_form_with_its_token(server: Server, http: requests.Session) -> None:
    page = http.get(f"{server.url}/").text
    answer = http.post(f"{server.url}/", data={"csrfmiddlewaretoken": _token(page), "text": "Bonjour é"})
    assert [step.status_code for step in answer.history] == [302]
    assert "<li>Bonjour é</li>" in answer.text
    refused = http.post(f"{server.url}/", data={"csrfmiddlewaretoken": _token(answer.text), "text": "x" * 21})
    assert "at most 20 characters" in refused.text
    assert http.post(f"{server.url}/", data={"text": "no token"}).status_code == 403


def test_a_session_in_the_database(server: Server, http: requests.Session) -> None:
    assert [http.get(f"{server.url}/visits").text for _ in range(5)] == ["1", "2", "3", "4", "5"]
    assert requests.get(f"{server.url}/visits", timeout=10).text == "1"


def test_the_admin(server: Server, http: requests.Session) -> None:
    page = http.get(f"{server.url}/admin/")
    assert "/admin/login/" in page.url
    login = {
        "csrfmiddlewaretoken": _token(page.text),
        "username": "root",
        "password": "a-good-password",
        "next": "/admin/",
    }
    page = http.post(page.url, data=login)
    assert "Site administration" in page.text
    page = http.get(f"{server.url}/admin/guestbook/entry/add/")
    saved = http.post(page.url, data={"csrfmiddlewaretoken": _token(page.text), "text": "by the admin"})
    assert "was added successfully" in saved.text
    assert http.get(f"{server.url}/admin/guestbook/entry/?q=admin").status_code == 200


def test_the_static_files_of_the_admin(server: Server, http: requests.Session) -> None:
    page = http.get(f"{server.url}/admin/login/").text
    paths = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', page))
    assert len(paths) >= 4
    for path in paths:
        answer = http.get(server.url + path)
        assert answer.status_code == 200
        assert int(answer.headers["Content-Length"]) == len(answer.content) > 0
        since = {"If-Modified-Since": answer.headers["Last-Modified"]}
        assert http.get(server.url + path, headers=since).status_code == 304
    assert http.get(f"{server.url}/static/missing.css").status_code == 404


@pytest.mark.parametrize("content", [b"small", LARGE], ids=["memory", "disk"])
def test_an_upload_and_its_download(server: Server, http: requests.Session, content: bytes) -> None:
    digest = hashlib.sha256(content).hexdigest()
    told = http.post(f"{server.url}/upload", files={"it": content}).json()["it"]
    assert told == {"size": len(content), "sha256": digest, "on_disk": content is LARGE}
    answer = http.get(f"{server.url}/file/{digest}")
    assert answer.content == content
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{digest}.bin"'
    assert http.head(f"{server.url}/file/{digest}").headers["Content-Length"] == str(len(content))


def test_a_streaming_response(server: Server, http: requests.Session) -> None:
    answer = http.get(f"{server.url}/stream")
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert answer.text == "".join(f"line {number}\n" for number in range(1000))


def test_an_error_in_a_view(server: Server, http: requests.Session) -> None:
    mark = server.log.mark()
    assert http.get(f"{server.url}/broken").status_code == 500
    server.log.wait_for("Internal Server Error: /broken", after=mark)


def test_nothing_is_left_in_the_spool_directory(server: Server) -> None:
    assert list(Path(server.temporary).rglob("*")) == []
