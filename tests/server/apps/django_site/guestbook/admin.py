"""Entries in the admin."""

from __future__ import annotations

from django.contrib import admin

from django_site.guestbook.models import Entry

admin.site.register(Entry)
