"""A Flask application that uses what applications use: forms, uploads, sessions, streams, redirects, errors, files."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from flask import Flask, Response, abort, jsonify, redirect, request, send_file, session, stream_with_context, url_for
from werkzeug.wrappers import Response as BaseResponse

app = Flask(__name__)
app.secret_key = "not a secret: a test site"
app.config["MAX_CONTENT_LENGTH"] = 64 * 1024 * 1024


@app.get("/")
def index() -> str:
    return f"Hello, {session.get('name', 'stranger')}"


@app.post("/login")
def login() -> BaseResponse:
    session["name"] = request.form["name"]
    return redirect(url_for("index"))


@app.post("/form")
def form() -> Response:
    return jsonify({name: request.form.getlist(name) for name in request.form})


@app.post("/json")
def json() -> Response:
    return jsonify(got=request.get_json())


@app.post("/upload")
def upload() -> Response:
    told = {}
    for name, file in request.files.items():
        digest, size = hashlib.sha256(), 0
        while block := file.stream.read(65536):
            digest.update(block)
            size += len(block)
        told[name] = {"filename": file.filename, "type": file.content_type, "size": size, "sha256": digest.hexdigest()}
    return jsonify(files=told, fields=request.form.to_dict())


@app.get("/stream/<int:count>")
def stream(count: int) -> Response:
    def blocks() -> Iterator[str]:
        for number in range(count):
            yield f"{request.path} {number}\n"

    return Response(stream_with_context(blocks()), mimetype="text/plain")


@app.get("/file")
def file() -> Response:
    return send_file(Path(__file__), mimetype="text/x-python", conditional=True)


@app.get("/temporary")
def temporary() -> Response:
    made = tempfile.TemporaryFile()  # noqa: SIM115 - the answer closes it
    made.write(b"temporary " * 10000)
    made.seek(0)
    return send_file(made, mimetype="text/plain")


@app.get("/cookies")
def cookies() -> Response:
    answer = Response("two cookies")
    answer.set_cookie("one", "1")
    answer.set_cookie("two", "2", httponly=True)
    return answer


@app.get("/broken")
def broken() -> str:
    raise RuntimeError("broken on purpose")


@app.get("/teapot")
def teapot() -> str:
    abort(418)


@app.get("/näher/<name>")
def unicode(name: str) -> str:
    return f"{name} {request.args.get('q', '')}"


@app.get("/address")
def address() -> Response:
    return jsonify(url=request.url, remote=request.remote_addr, scheme=request.scheme, host=request.host)
