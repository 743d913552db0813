"""Options of gunicorn and uvicorn that are no directive here, and what is said about each.

Options that mean the same and take the same values are `flags` of their directive. Here are the others: translated
(`commandline` does it), needless (passed over with a warning, since nothing is lost), missing (passed over with a
warning, since something is lost that one can serve without), and refused (serving without it would be wrong).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache


class Verdict(Enum):
    """What becomes of an option."""

    TRANSLATED = "translated"
    NEEDLESS = "needless here"
    MISSING = "not there yet"
    REFUSED = "refused"


@dataclass(frozen=True)
class Alias:
    """An option of another server."""

    flag: str
    takes_value: bool
    verdict: Verdict
    sentence: str


TLS = "this version does not speak TLS: let a proxy in front do it (nginx, HAProxy, Caddy) and leave this option out"
FORWARDED = "forwarded fields of proxies are not read yet: the application sees the proxy's address and the scheme http"
RELOADING = "the server does not watch files: after a change send it the signal HUP, which reloads without an outage"
ASYNC = "it concerns ASGI applications and WebSockets, which this version does not serve"
STATSD = "figures are not sent to a statsd server"
SYSLOG = "the log is not sent to syslog: write it to standard error and let the service manager forward it"
STRICT = (
    "the parser of requests is strict and cannot be loosened, since each such looseness is a way to smuggle requests"
)
DIRTY = "there are no processes for long tasks beside the children: use a task queue"
HTTP2 = "HTTP/2 is not spoken yet: clients and proxies use HTTP/1.1"
JITTER = (
    "chance is built in: each child draws its own number from the last tenth below max_requests_per_child, and children"
    " are replaced one after another"
)
LOGGING = "the server does not write its log through Python's logging; configure logging in the application"

# Options, whether they take a value, the verdict, the sentence.
GROUPS: tuple[tuple[str, bool, Verdict, str], ...] = (
    ("-k --worker-class", True, Verdict.TRANSLATED, "selects the MPM: sync is prefork, gthread is event"),
    ("--host --port", True, Verdict.TRANSLATED, "together they are --listen HOST:PORT"),
    ("--uds", True, Verdict.TRANSLATED, "it is --listen unix:PATH"),
    ("--fd", True, Verdict.TRANSLATED, "it is --listen fd://N"),
    ("--protocol", True, Verdict.TRANSLATED, "only http is spoken"),
    ("--limit-concurrency", True, Verdict.MISSING, ("no 503 is answered by number of connections; see"
     " max_open_connections")),
    ("--timeout-worker-healthcheck", True, Verdict.NEEDLESS, "the death of a child is noticed at once, without probes"),
    ("--max-requests-jitter --limit-max-requests-jitter", True, Verdict.NEEDLESS, JITTER),
    ("--reload", False, Verdict.MISSING, RELOADING),
    ("--reload-engine --reload-extra-file --reload-dir --reload-include --reload-exclude --reload-delay", True,
     Verdict.MISSING, RELOADING),
    ("--proxy-headers", False, Verdict.MISSING, FORWARDED),
    ("--no-proxy-headers", False, Verdict.NEEDLESS, FORWARDED),
    ("--forwarded-allow-ips", True, Verdict.MISSING, FORWARDED + " (trusted_proxies names proxies for what is read)"),
    ("--forwarder-headers", True, Verdict.MISSING, FORWARDED),
    ("--proxy-protocol", True, Verdict.REFUSED, "the PROXY protocol is not understood yet: turn it off in the proxy"),
    ("--proxy-allow-from", True, Verdict.MISSING, "the PROXY protocol is not understood yet"),
    ("--uwsgi-allow-from", True, Verdict.NEEDLESS, "only HTTP is spoken, not the protocol of uWSGI"),
    (("--keyfile --certfile --ssl-version --cert-reqs --ca-certs --ciphers --ssl-keyfile --ssl-certfile"
     " --ssl-keyfile-password --ssl-cert-reqs --ssl-ca-certs --ssl-ciphers"), True, Verdict.REFUSED, TLS),
    ("--do-handshake-on-connect --suppress-ragged-eofs", False, Verdict.NEEDLESS, ("it concerns TLS, which is not"
     " spoken here")),
    ("--http2", False, Verdict.MISSING, HTTP2),
    (("--http-protocols --http2-cleartext --http2-max-concurrent-streams --http2-initial-window-size"
     " --http2-max-frame-size --http2-max-header-list-size"), True, Verdict.MISSING, HTTP2),
    (("--permit-obsolete-folding --strip-header-spaces --permit-unconventional-http-method"
     " --permit-unconventional-http-version --casefold-http-method"), False, Verdict.REFUSED, STRICT),
    ("--header-map", True, Verdict.NEEDLESS, "a field whose name has an underscore can never pass for another one here"),
    ("--http --http-parser", True, Verdict.NEEDLESS, "there is one parser, compiled, and no choice of others"),
    (("--loop --asgi-loop --asgi-lifespan --asgi-disconnect-grace-period --lifespan --ws --ws-max-size --ws-max-queue"
     " --ws-ping-interval --ws-ping-timeout --ws-per-message-deflate --websocket-max-message-size"), True,
     Verdict.NEEDLESS, ASYNC),
    ("--reset-contextvars", False, Verdict.NEEDLESS, ASYNC),
    ("--h11-max-incomplete-event-size", True, Verdict.NEEDLESS, "the bound of a head is limit_request_head"),
    ("-D --daemon", False, Verdict.REFUSED, ("the server stays in the foreground: let a service manager (systemd,"
     " a container) run it, or the shell with &")),
    ("--spew", False, Verdict.REFUSED, "there is no tracing of every line: use a debugger or a profiler"),
    ("--check-config --print-config", False, Verdict.REFUSED, ("use `tricorn check` with the other options: it checks"
     " all, imports the application and prints the configuration")),
    ("--no-sendfile", False, Verdict.NEEDLESS, "files are sent by whatever way the kernel offers"),
    ("--reuse-port", False, Verdict.NEEDLESS, "all children share one listening socket, and take from it fairly"),
    ("--worker-tmp-dir", True, Verdict.NEEDLESS, ("children prove their life without files; bodies go to"
     " spool_directory")),
    ("--initgroups", False, Verdict.NEEDLESS, "the groups of `user` are always taken along"),
    ("-R --enable-stdio-inheritance --capture-output", False, Verdict.NEEDLESS, ("what the application prints goes where"
     " the server's own output goes")),
    ("--disable-redirect-access-to-syslog", False, Verdict.NEEDLESS, SYSLOG),
    ("--log-syslog", False, Verdict.MISSING, SYSLOG),
    ("--log-syslog-to --log-syslog-prefix --log-syslog-facility", True, Verdict.MISSING, SYSLOG),
    ("--logger-class --log-config --log-config-json", True, Verdict.MISSING, LOGGING),
    ("--use-colors --no-use-colors", False, Verdict.NEEDLESS, "the log has no colours"),
    ("--statsd-host --dogstatsd-tags --statsd-prefix", True, Verdict.MISSING, STATSD),
    ("--enable-backlog-metric", False, Verdict.MISSING, STATSD),
    ("--paste --paster --paste-global", True, Verdict.REFUSED, ("Paste files are not read: name the application, for"
     " example a module whose `application` is paste.deploy.loadapp(...)")),
    ("--env-file", True, Verdict.REFUSED, ("files of variables are not read: give them with -e, under [env] in"
     " tricorn.toml, or by the service manager")),
    ("--header", True, Verdict.REFUSED, "fields are not added to answers: let the application or a proxy do it"),
    ("--date-header", False, Verdict.NEEDLESS, "the Date field is always sent"),
    ("--no-date-header", False, Verdict.MISSING, "the Date field is always sent, as HTTP asks for"),
    ("--dirty-app --dirty-workers --dirty-timeout --dirty-threads --dirty-graceful-timeout", True, Verdict.REFUSED,
     DIRTY),
    ("--control-socket-mode", True, Verdict.NEEDLESS, ("the control socket is for its owner and root only,"
     " since whoever reaches it can stop the server")),
)  # fmt: skip


@cache
def aliases() -> Mapping[str, Alias]:
    """Every alias by its option."""
    return {
        flag: Alias(flag, takes_value, verdict, sentence)
        for flags, takes_value, verdict, sentence in GROUPS
        for flag in flags.split()
    }
