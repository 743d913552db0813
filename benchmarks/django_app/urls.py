"""The pages of the site."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from benchmarks.django_app import views

urlpatterns = [
    path("", views.front),
    path("visits/", views.visits),
    path("admin/", admin.site.urls),
]
