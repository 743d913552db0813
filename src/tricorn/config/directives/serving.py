"""Directives about what is served, where, by which MPM and with how much capacity."""

from __future__ import annotations

from tricorn.config.addresses import AddressKind
from tricorn.config.compound_kinds import Many, OrWord
from tricorn.config.directives.shape import Change, Directive, Equivalents, Section, Variable
from tricorn.config.kinds import Account, Boolean, Choice, Integer, Octal, Text
from tricorn.config.settings import Interface, Mpm, TcpAddress

MOST = (1 << 32) - 1

APP = Directive(
    name="app",
    section=Section.APPLICATION,
    kind=OrWord[str, None](
        Text("APP", "module:attribute, module, module:factory(...), or path/file.py:attribute", r"[^\x00-\x1f\x7f]+"),
        "none",
        None,
    ),
    default=None,
    meaning="The application to serve: the argument of `tricorn serve`, as module:attribute, module (its `application`"
    " or `app`), module:factory(literal arguments), or path/file.py:attribute.",
    reason="Nothing is guessed: without an application there is nothing to serve.",
    change=Change.RELOAD,
    equivalents=Equivalents("WSGIScriptAlias (mod_wsgi)", "the argument APP_MODULE, wsgi_app", "the argument APP"),
)
INTERFACE = Directive(
    name="interface",
    section=Section.APPLICATION,
    kind=Choice(Interface, {"asgi2": Interface.ASGI, "asgi3": Interface.ASGI}),
    default=Interface.AUTO,
    meaning="How the application is called; auto detects it from the callable. This version serves WSGI only.",
    reason="A WSGI callable and an ASGI callable can be told apart, so nobody needs to say which it is.",
    change=Change.RELOAD,
    equivalents=Equivalents("", "-k (an ASGI worker class)", "--interface"),
)
FACTORY = Directive(
    name="factory",
    section=Section.APPLICATION,
    kind=Boolean(),
    default=False,
    meaning="The application named is a function without arguments that makes the application.",
    reason="Most references name the application itself.",
    change=Change.RELOAD,
    equivalents=Equivalents("", "APP_MODULE with parentheses", "--factory"),
    fixed_flags={"--factory": "on", "--no-factory": "off"},
)
LISTEN = Directive(
    name="listen",
    section=Section.LISTENING,
    kind=Many(AddressKind(), ",", least=1),
    default=(TcpAddress("127.0.0.1", 8000),),
    meaning="Where to listen; may be repeated. Port 0 lets the system choose. A variable PORT means 0.0.0.0:$PORT."
    " Sockets that systemd hands over replace all addresses.",
    reason="The loopback interface, so that a first try is not open to the network; 8000 as gunicorn and uvicorn.",
    change=Change.RESTART,
    equivalents=Equivalents("Listen", "-b, --bind", "--host with --port, --uds, --fd"),
    flags=("-b", "--bind"),
    variables=(Variable("PORT", "0.0.0.0:"),),
)
BACKLOG = Directive(
    name="backlog",
    section=Section.LISTENING,
    kind=Integer(1, 65535),
    default=2048,
    meaning="Connections that may wait in the kernel to be accepted, for each listening socket. The kernel lowers it to"
    " its own bound (net.core.somaxconn on Linux).",
    reason="The number of gunicorn and uvicorn; Apache's 511 loses connections in bursts that children absorb.",
    change=Change.RESTART,
    equivalents=Equivalents("ListenBacklog", "--backlog", "--backlog"),
)
UNIX_SOCKET_MODE = Directive(
    name="unix_socket_mode",
    section=Section.LISTENING,
    kind=Octal(),
    default=0o666,
    meaning="Permissions of the Unix sockets that the server makes, in octal.",
    reason="Whoever may reach the directory may connect, as on a loopback port; a proxy of another user just works.",
    change=Change.RESTART,
    equivalents=Equivalents("", "umask of the master", "0666, fixed"),
)
UNIX_SOCKET_USER = Directive(
    name="unix_socket_user",
    section=Section.LISTENING,
    kind=OrWord[str | int, None](Account("USER"), "none", None),
    default=None,
    meaning="Owner of the Unix sockets that the server makes; none is the user that starts the server.",
    reason="Only root can give files away.",
    change=Change.RESTART,
    equivalents=Equivalents("", "user (the socket is given to it)", ""),
)
UNIX_SOCKET_GROUP = Directive(
    name="unix_socket_group",
    section=Section.LISTENING,
    kind=OrWord[str | int, None](Account("GROUP"), "none", None),
    default=None,
    meaning="Group of the Unix sockets that the server makes; none is the group that starts the server.",
    reason="A mode of 660 with the group of the proxy is the narrow choice, but only the operator knows that group.",
    change=Change.RESTART,
    equivalents=Equivalents("", "group (the socket is given to it)", ""),
)
MPM = Directive(
    name="mpm",
    section=Section.CAPACITY,
    kind=Choice(Mpm),
    default=Mpm.EVENT,
    meaning="The multi-processing module: prefork (processes of one thread), worker (threads that hold connections) or"
    " event (threads that hold only complete requests).",
    reason="event: slow clients and idle connections cost no thread.",
    change=Change.RELOAD,
    equivalents=Equivalents("LoadModule mpm_*_module", "-k, --worker-class", ""),
)
START_SERVERS = Directive(
    name="start_servers",
    section=Section.CAPACITY,
    kind=OrWord[int, None](Integer(1, 2048, "CHILDREN"), "auto", None),
    default=None,
    meaning="Child processes. auto is made from the CPUs that the server may use (affinity and the CPU quota of its"
    " control group): prefork 2 x CPUs + 1, worker and event one per CPU but at least 2.",
    reason="prefork needs spare processes while some wait for a database; the others have threads for that, and need"
    " a second child only so that one crash does not end all service.",
    change=Change.RELOAD,
    equivalents=Equivalents("StartServers", "-w, --workers", "--workers"),
    flags=("-w", "--workers"),
    variables=(Variable("WEB_CONCURRENCY"),),
    per_mpm=True,
)
THREADS_PER_CHILD = Directive(
    name="threads_per_child",
    section=Section.CAPACITY,
    kind=Integer(1, 4096, "THREADS"),
    default=8,
    meaning="Threads of one child that may be inside the application at once. Under prefork it is 1 and nothing else.",
    reason="event: 8, since a thread is held only while the application works. worker: 16, since a thread is held by"
    " its client too.",
    change=Change.RELOAD,
    equivalents=Equivalents("ThreadsPerChild", "--threads", ""),
    flags=("--threads",),
    per_mpm=True,
    defaults={Mpm.PREFORK: 1, Mpm.WORKER: 16, Mpm.EVENT: 8},
)
MAX_OPEN_CONNECTIONS = Directive(
    name="max_open_connections",
    section=Section.CAPACITY,
    kind=Integer(1, 1_000_000, "CONNECTIONS"),
    default=4096,
    meaning="Connections that one child holds at once, in whatever stage. Beyond it the child stops accepting, and"
    " other children or the kernel's queue take the connection.",
    reason="A waiting connection costs a few hundred bytes, so the bound is there for descriptors, not for memory.",
    change=Change.RELOAD,
    equivalents=Equivalents("AsyncRequestWorkerFactor", "--worker-connections", "--limit-concurrency (answers 503)"),
    flags=("--worker-connections",),
    per_mpm=True,
    mpms=(Mpm.EVENT,),
    instead="there a connection takes a whole process or thread: size it with start_servers and threads_per_child,"
    " or select --mpm event",
)
MAX_CONNECTIONS_PER_CHILD = Directive(
    name="max_connections_per_child",
    section=Section.CAPACITY,
    kind=Integer(0, MOST, "CONNECTIONS"),
    default=0,
    meaning="Connections after which a child retires and is replaced; 0 is never. A kept-alive connection counts once.",
    reason="A child lives as long as the server; replacing it only hides a leak.",
    change=Change.RELOAD,
    equivalents=Equivalents(
        "MaxConnectionsPerChild", "--max-requests (counts requests)", "--limit-max-requests (same)"
    ),
    per_mpm=True,
)
