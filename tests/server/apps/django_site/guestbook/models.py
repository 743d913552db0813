"""Entries of the guest book."""

from __future__ import annotations

from django.db import models


class Entry(models.Model):
    text = models.CharField(max_length=200)
    made = models.DateTimeField(auto_now_add=True)

    class Meta:
        app_label = "guestbook"
        ordering = ("made", "id")

    def __str__(self) -> str:
        return str(self.text)
