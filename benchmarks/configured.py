"""Servers that are configured by files: nginx and Apache httpd, with the least configuration that answers alike.

Debian's nginx, apache2 and libapache2-mod-wsgi-py3 are expected; nothing of the system's own configuration is read.
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks import app

MODULES = Path("/usr/lib/apache2/modules")
APP_FILE = Path(app.__file__)


@dataclass(frozen=True, slots=True)
class ApachePool:
    """The numbers of one Apache MPM, its spare capacity fixed so that no child comes or goes during a run."""

    mpm: str
    children: int
    threads: int


def unprivileged_user() -> tuple[str, str] | None:
    """User and group for servers that refuse to serve as root; None when this process is not root."""
    if os.geteuid() != 0:
        return None
    for name in ("www-data", "nobody"):
        try:
            entry = pwd.getpwnam(name)
            return name, grp.getgrgid(entry.pw_gid).gr_name
        except KeyError:
            continue
    return None


def find_nginx() -> str | None:
    """The program, /usr/sbin included."""
    return _find("nginx")


def find_apache() -> str | None:
    """The program, if mod_wsgi is there too."""
    return _find("apache2") if (MODULES / "mod_wsgi.so").exists() else None


def _find(program: str) -> str | None:
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")


def write_nginx(directory: Path, port: int) -> Path:
    """One worker that answers the same thirteen bytes from its configuration."""
    user = unprivileged_user()
    _open_to_others(directory)
    temporary = "\n".join(
        f"  {kind}_temp_path {directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = f"""\
{f"user {user[0]} {user[1]};" if user else ""}
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
{temporary}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{ default_type text/plain; return 200 "{app.BODY.decode()}"; }}
  }}
}}
"""
    return _write(directory / "nginx.conf", text)


def write_apache(directory: Path, port: int, pool: ApachePool) -> Path:
    """mod_wsgi embedded (the application runs in the MPM's own threads), keep-alive without end, no access log."""
    user = unprivileged_user()
    _open_to_others(directory)
    shutil.copyfile(APP_FILE, directory / "app.wsgi")
    (directory / "app.wsgi").chmod(0o644)
    total = pool.children * pool.threads
    if pool.mpm == "prefork":
        numbers = f"MinSpareServers {total}\nMaxSpareServers {total + 1}"
    else:
        numbers = (
            f"ThreadLimit {pool.threads}\nThreadsPerChild {pool.threads}\n"
            f"MinSpareThreads {pool.threads}\nMaxSpareThreads {total * 2}"
        )
    text = f"""\
ServerRoot {directory}
ServerName localhost
DefaultRuntimeDir {directory}
PidFile {directory}/apache.pid
ErrorLog /dev/stderr
LogLevel error
Listen 127.0.0.1:{port}
ListenBacklog 1024
{f"User {user[0]}" if user else ""}
{f"Group {user[1]}" if user else ""}
LoadModule mpm_{pool.mpm}_module {MODULES}/mod_mpm_{pool.mpm}.so
LoadModule authz_core_module {MODULES}/mod_authz_core.so
LoadModule wsgi_module {MODULES}/mod_wsgi.so
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 5
ServerLimit {pool.children}
StartServers {pool.children}
MaxRequestWorkers {total}
MaxConnectionsPerChild 0
{numbers}
WSGIScriptAlias / {directory}/app.wsgi
<Directory {directory}>
  Require all granted
</Directory>
"""
    return _write(directory / "apache.conf", text)


def _open_to_others(directory: Path) -> None:
    """A temporary directory is private; the unprivileged user has to read what lies in it."""
    directory.chmod(0o755)


def _write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    path.chmod(0o644)
    return path
