"""Two pages (a form in a template, a counter in the session), and the header that names the serving process."""

from __future__ import annotations

import os
from collections.abc import Callable

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


class Note(forms.Form):  # type: ignore[misc]  # Django ships no types
    """Something to render."""

    title = forms.CharField(max_length=80)
    text = forms.CharField(widget=forms.Textarea)
    day = forms.DateField(required=False)


def front(request: HttpRequest) -> HttpResponse:
    """A template with a form and a list."""
    return render(request, "front.html", {"form": Note(), "lines": range(50)})


def visits(request: HttpRequest) -> HttpResponse:
    """Count in the session: a write to the database."""
    request.session["visits"] = request.session.get("visits", 0) + 1
    return HttpResponse(f"{request.session['visits']} visits\n", content_type="text/plain")


def name_process(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: X-Process is the process id that answered, so that the benchmark sees all of them at work."""

    def answer(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response["X-Process"] = str(os.getpid())
        return response

    return answer
