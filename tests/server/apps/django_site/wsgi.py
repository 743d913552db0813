"""The WSGI application of the project, with the admin's static files served by Django itself."""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_site.settings")

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.contrib.staticfiles.views import serve
from django.core.wsgi import get_wsgi_application


class StaticFiles(StaticFilesHandler):
    """Django's own handler, serving outside of DEBUG too: these files are what the tests are about."""

    def serve(self, request):
        return serve(request, self.file_path(request.path), insecure=True)


application = StaticFiles(get_wsgi_application())
