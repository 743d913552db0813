"""Pages of the guest book, each for one thing that a server has to carry."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from django import forms
from django.conf import settings
from django.http import FileResponse, HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.template import engines
from django.views.decorators.csrf import csrf_exempt

from django_site.guestbook.models import Entry

PAGE = """<form method="post">{% csrf_token %}{{ form.as_p }}</form>
{% for entry in entries %}<li>{{ entry.text }}</li>{% endfor %}"""


class EntryForm(forms.Form):
    text = forms.CharField(max_length=20)


def book(request: Any) -> HttpResponse:
    form = EntryForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        Entry.objects.create(text=form.cleaned_data["text"])
        return HttpResponseRedirect("/")
    page = engines["django"].from_string(PAGE)
    return HttpResponse(page.render({"form": form, "entries": Entry.objects.all()}, request))


def visits(request: Any) -> HttpResponse:
    request.session["visits"] = request.session.get("visits", 0) + 1
    return HttpResponse(str(request.session["visits"]))


@csrf_exempt
def upload(request: Any) -> JsonResponse:
    told = {}
    for name, file in request.FILES.items():
        digest = hashlib.sha256()
        for block in file.chunks():
            digest.update(block)
        told[name] = {"size": file.size, "sha256": digest.hexdigest(), "on_disk": hasattr(file, "temporary_file_path")}
        settings.MEDIA_ROOT.mkdir(exist_ok=True)
        (settings.MEDIA_ROOT / f"{digest.hexdigest()}.bin").write_bytes(b"".join(file.chunks()))
    return JsonResponse(told)


def stream(request: Any) -> StreamingHttpResponse:
    def blocks() -> Iterator[str]:
        for number in range(1000):
            yield f"line {number}\n"

    return StreamingHttpResponse(blocks(), content_type="text/plain")


def file(request: Any, name: str) -> FileResponse:
    return FileResponse((settings.MEDIA_ROOT / f"{name}.bin").open("rb"), as_attachment=True)


def broken(request: Any) -> HttpResponse:
    raise RuntimeError("broken on purpose")
