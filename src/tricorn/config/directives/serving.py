"""Directives about what is served, where, and by which MPM."""

from __future__ import annotations

from tricorn.config.addresses import AddressKind
from tricorn.config.compound_kinds import Many, OrWord
from tricorn.config.directives.shape import Change, Directive, Equivalents, Section, Variable
from tricorn.config.kinds import Account, Boolean, Choice, Integer, Octal, Text
from tricorn.config.settings import Interface, Mpm, TcpAddress

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
