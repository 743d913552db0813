"""Directives about the processes around the requests: surroundings, start and stop, logs."""

from __future__ import annotations

from tricorn.config.compound_kinds import Many, OrWord, Variables
from tricorn.config.directives.shape import Change, Directive, Equivalents, Section
from tricorn.config.kinds import Account, Choice, Octal, Seconds, Text
from tricorn.config.settings import LogLevel, Preload

DAY = 86_400.0
AUTO = "auto"
"""The value of a path that the server chooses; a file of this name is written ./auto."""
COMBINED = '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"'
COMMON = '%h %l %u %t "%r" %>s %b'


def path(metavar: str) -> Text:
    """A path of the file system."""
    return Text(metavar, "a path", r"[^\x00]+")


CHDIR = Directive(
    name="chdir",
    section=Section.SURROUNDINGS,
    kind=OrWord[str, None](path("DIRECTORY"), "none", None),
    default=None,
    meaning="Directory that becomes the current one before the application is imported; none is where the server was"
    " started.",
    reason="Whoever starts a server by hand stands in the right place already.",
    change=Change.RELOAD,
    equivalents=Equivalents("home of WSGIDaemonProcess (mod_wsgi)", "--chdir", ""),
)
PYTHON_PATH = Directive(
    name="python_path",
    section=Section.SURROUNDINGS,
    kind=Many(path("DIRECTORY"), ","),
    default=(),
    meaning="Directories that are put before the others where modules are looked for; may be repeated.",
    reason="The current directory is there without being named.",
    change=Change.RELOAD,
    equivalents=Equivalents("WSGIPythonPath (mod_wsgi)", "--pythonpath", "--app-dir"),
    flags=("--pythonpath", "--app-dir"),
)
ENV = Directive(
    name="env",
    section=Section.SURROUNDINGS,
    kind=Variables(),
    default=(),
    meaning="Environment variables for the application; may be repeated. A source adds to the sources below it.",
    reason="The application inherits the environment of the server.",
    change=Change.RELOAD,
    equivalents=Equivalents("SetEnv", "-e, --env", "--env-file (a file)"),
    flags=("-e",),
)
PROCESS_NAME = Directive(
    name="process_name",
    section=Section.SURROUNDINGS,
    kind=Text("NAME", "up to 64 visible ASCII characters and spaces", r"[!-~]([ -~]{0,62}[!-~])?"),
    default="tricorn",
    meaning="The name under which process listings show the server.",
    reason="The name of the program; give others to tell several servers of one machine apart.",
    change=Change.RELOAD,
    equivalents=Equivalents("", "-n, --name", ""),
    flags=("-n", "--name"),
)
USER = Directive(
    name="user",
    section=Section.SURROUNDINGS,
    kind=OrWord[str | int, None](Account("USER"), "none", None),
    default=None,
    meaning="User that the application runs as, when root starts the server; only the parent stays root.",
    reason="There is no account that every system has and that owns nothing.",
    change=Change.RELOAD,
    equivalents=Equivalents("User", "-u, --user", ""),
    flags=("-u",),
)
GROUP = Directive(
    name="group",
    section=Section.SURROUNDINGS,
    kind=OrWord[str | int, None](Account("GROUP"), "none", None),
    default=None,
    meaning="Group that the application runs as, when root starts the server; none is the own group of `user`.",
    reason="A changed user with the group of root would keep some of its rights.",
    change=Change.RELOAD,
    equivalents=Equivalents("Group", "-g, --group", ""),
    flags=("-g",),
)
UMASK = Directive(
    name="umask",
    section=Section.SURROUNDINGS,
    kind=OrWord[int, None](Octal(), "none", None),
    default=None,
    meaning="File mode creation mask of the application, in octal; none keeps that of the server.",
    reason="The service manager or the shell has set one already.",
    change=Change.RELOAD,
    equivalents=Equivalents("umask of WSGIDaemonProcess (mod_wsgi)", "-m, --umask", ""),
    flags=("-m",),
)
GRACEFUL_TIMEOUT = Directive(
    name="graceful_timeout",
    section=Section.LIFECYCLE,
    kind=Seconds(0.0, DAY),
    default=30.0,
    meaning="Seconds that children get to answer what they have read, in a stop, a reload or a retirement; 0 is none.",
    reason="The time after which container platforms kill a stopping server.",
    change=Change.RELOAD,
    equivalents=Equivalents("GracefulShutdownTimeout", "--graceful-timeout", "--timeout-graceful-shutdown"),
    flags=("--timeout-graceful-shutdown",),
)
DRAIN_DELAY = Directive(
    name="drain_delay",
    section=Section.LIFECYCLE,
    kind=Seconds(0.0, DAY),
    default=0.0,
    meaning="Seconds for which a server that was told to stop goes on accepting, with `Connection: close` in every"
    " answer, until load balancers know of the stop. After them graceful_timeout begins.",
    reason="It helps only where a load balancer learns of a stop no sooner than the server does. Kubernetes is such"
    " a place, so 5 is taken where its variable KUBERNETES_SERVICE_HOST is set and nobody says otherwise.",
    change=Change.RELOAD,
)
START_TIMEOUT = Directive(
    name="start_timeout",
    section=Section.LIFECYCLE,
    kind=Seconds(0.1, DAY),
    default=60.0,
    meaning="Seconds that the import of the application, and then each child, may take to become ready.",
    reason="Large applications import in ten or twenty seconds on a busy machine; what takes longer hangs.",
    change=Change.RELOAD,
    equivalents=Equivalents("", "--timeout (which is timeout here)", "--timeout-worker-healthcheck"),
)
PRELOAD = Directive(
    name="preload",
    section=Section.LIFECYCLE,
    kind=Choice(Preload),
    default=Preload.AUTO,
    meaning="Whether the application is imported once before children are forked (on), in each child (off), or once"
    " unless the import leaves behind what cannot be inherited, like threads or open connections (auto).",
    reason="Importing once saves memory and makes children ready in milliseconds, where it is safe.",
    change=Change.RELOAD,
    equivalents=Equivalents("", "--preload", ""),
    fixed_flags={"--preload-app": "on", "--no-preload": "off"},
)
WARM_UP = Directive(
    name="warm_up",
    section=Section.LIFECYCLE,
    kind=Many(
        Text("TARGET", "a path, or a URL whose host becomes the Host header", r"(http://[^\s,/]+)?/[^\s,]*"), ","
    ),
    default=(),
    meaning="Pages that the application is asked for (GET) after the import and before children are forked, so that"
    " they share what the first requests import and make; each up to ten times. May be repeated.",
    reason="Only its developer knows which pages may be asked for without a client.",
    change=Change.RELOAD,
)
PID_FILE = Directive(
    name="pid_file",
    section=Section.LIFECYCLE,
    kind=OrWord[str, None](path("FILE"), "none", None),
    default=None,
    meaning="File into which the parent writes its process id, removed at the stop.",
    reason="Service managers know the process that they started.",
    change=Change.RESTART,
    equivalents=Equivalents("PidFile", "-p, --pid", ""),
    flags=("-p", "--pid"),
)
CONTROL_SOCKET = Directive(
    name="control_socket",
    section=Section.LIFECYCLE,
    kind=OrWord(OrWord[str, None](path("SOCKET"), "off", None), AUTO, AUTO),
    default=AUTO,
    meaning="The Unix socket by which `tricorn status`, `tricorn reload` and the other verbs reach the server; only its"
    " owner and root may use it. auto is PID.sock in /run/tricorn for root, else in $XDG_RUNTIME_DIR/tricorn, or in"
    " tricorn-UID of the temporary directory where there is no such variable.",
    reason="The verbs then find the server without being told where it is.",
    change=Change.RESTART,
    equivalents=Equivalents("", "--control-socket", ""),
    fixed_flags={"--no-control-socket": "off"},
)
ERROR_LOG = Directive(
    name="error_log",
    section=Section.LOGS,
    kind=path("FILE"),
    default="-",
    meaning="Where errors and events are written; - is standard error.",
    reason="Service managers and containers collect standard error.",
    change=Change.RELOAD,
    equivalents=Equivalents("ErrorLog", "--error-logfile, --log-file", ""),
    flags=("--error-logfile", "--log-file"),
)
LOG_LEVEL = Directive(
    name="log_level",
    section=Section.LOGS,
    kind=Choice(
        LogLevel,
        {
            "critical": LogLevel.ERROR,
            "crit": LogLevel.ERROR,
            "warn": LogLevel.WARNING,
            "notice": LogLevel.INFO,
            "trace": LogLevel.DEBUG,
        },
    ),
    default=LogLevel.INFO,
    meaning="How much the error log tells.",
    reason="Starts, stops, reloads and every child's exit are told; single requests are not.",
    change=Change.RELOAD,
    equivalents=Equivalents("LogLevel", "--log-level", "--log-level"),
)
ACCESS_LOG = Directive(
    name="access_log",
    section=Section.LOGS,
    kind=OrWord[str, None](path("FILE"), "off", None),
    default=None,
    meaning="Where each request is noted; - is standard output, off is nowhere.",
    reason="Most servers stand behind a proxy that keeps the same log.",
    change=Change.RELOAD,
    equivalents=Equivalents("CustomLog", "--access-logfile", "--access-log (on by default)"),
    flags=("--access-logfile",),
    fixed_flags={"--no-access-log": "off"},
)
ACCESS_LOG_FORMAT = Directive(
    name="access_log_format",
    section=Section.LOGS,
    kind=Text("FORMAT", "common, combined, or a line of Apache's % directives or gunicorn's %(name)s atoms"),
    default="combined",
    meaning="How a request is noted: Apache's % directives or gunicorn's %(name)s atoms; common and combined are short"
    " for the two well-known formats.",
    reason="Every log analyser reads it.",
    change=Change.RELOAD,
    equivalents=Equivalents("LogFormat", "--access-logformat", ""),
    flags=("--access-logformat",),
)
