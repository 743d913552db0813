"""Routes of the project."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from django_site.guestbook import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", views.book),
    path("visits", views.visits),
    path("upload", views.upload),
    path("stream", views.stream),
    path("file/<str:name>", views.file),
    path("broken", views.broken),
]
