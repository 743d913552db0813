"""A small Flask application: a guest book in memory.

Serve it with one process, because the entries live in that process:
tricorn serve examples/flask_app.py:app --mpm event --workers 1
"""

from __future__ import annotations

import threading

from flask import Flask, redirect, render_template_string, request, url_for
from werkzeug.wrappers import Response

app = Flask(__name__)

PAGE = """<!doctype html>
<title>Guest book</title>
<h1>Guest book</h1>
<form method="post"><input name="entry" maxlength="200" required autofocus> <button>Sign</button></form>
<ul>{% for entry in entries %}<li>{{ entry }}</li>{% endfor %}</ul>
"""

_entries: list[str] = []
_lock = threading.Lock()


@app.get("/")
def book() -> str:
    """Show the entries, newest first."""
    with _lock:
        entries = list(reversed(_entries))
    return render_template_string(PAGE, entries=entries)


@app.post("/")
def sign() -> Response:
    """Add an entry."""
    with _lock:
        _entries.append(request.form["entry"][:200])
        del _entries[:-100]
    return redirect(url_for("book"))
