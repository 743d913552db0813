"""Directives about single requests and their answers: limits, deadlines, memory, fields."""

from __future__ import annotations

from collections.abc import Mapping

from tricorn.config.compound_kinds import OrWord
from tricorn.config.contended_timeouts import ContendedTimeouts
from tricorn.config.directives.shape import Change, Directive, Equivalents, Section
from tricorn.config.kinds import Boolean, Integer, Kind, Seconds, Size, Text
from tricorn.config.read_timeouts import ReadTimeouts
from tricorn.config.settings import Mpm, Rate

UNLIMITED = (1 << 64) - 1
KIB, MIB, GIB, TIB, PIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40, 1 << 50
READ_TIMEOUTS: Kind[Mapping[str, Rate]] = ReadTimeouts()
CONTENDED_TIMEOUTS: Kind[Mapping[str, float]] = ContendedTimeouts()

LIMIT_REQUEST_LINE = Directive(
    name="limit_request_line",
    section=Section.LIMITS,
    kind=Size(64, MIB),
    default=8190,
    meaning="Bytes of a request line; a longer one is answered with 414.",
    reason="Apache's number; what is longer is refused by most proxies and browsers as well.",
    change=Change.RELOAD,
    equivalents=Equivalents("LimitRequestLine", "--limit-request-line (default 4094)", ""),
)
LIMIT_REQUEST_FIELDS = Directive(
    name="limit_request_fields",
    section=Section.LIMITS,
    kind=Integer(1, 32768, "FIELDS"),
    default=100,
    meaning="Header fields of one request; more are answered with 431.",
    reason="Apache's and gunicorn's number.",
    change=Change.RELOAD,
    equivalents=Equivalents("LimitRequestFields", "--limit-request-fields", ""),
)
LIMIT_REQUEST_FIELD_SIZE = Directive(
    name="limit_request_field_size",
    section=Section.LIMITS,
    kind=Size(64, MIB),
    default=8190,
    meaning="Bytes of one header field, from its name to its value; a larger one is answered with 431.",
    reason="Apache's and gunicorn's number.",
    change=Change.RELOAD,
    equivalents=Equivalents("LimitRequestFieldSize", "--limit-request-field_size", ""),
    flags=("--limit-request-field_size",),
)
LIMIT_REQUEST_HEAD = Directive(
    name="limit_request_head",
    section=Section.LIMITS,
    kind=Size(KIB, 16 * MIB),
    default=64 * KIB,
    meaning="Bytes of a whole head, request line and all fields together; a larger one is answered with 431.",
    reason="Room for eight fields of the largest size; without it, one head could take the product of both limits.",
    change=Change.RELOAD,
    equivalents=Equivalents("", "", "--h11-max-incomplete-event-size"),
)
LIMIT_REQUEST_BODY = Directive(
    name="limit_request_body",
    section=Section.LIMITS,
    kind=OrWord(Size(1, TIB), "unlimited", UNLIMITED),
    default=GIB,
    meaning="Bytes of a request body, announced or counted; a larger one is answered with 413.",
    reason="Apache's number. Bodies are kept in a temporary file until they are complete, so a bound is needed.",
    change=Change.RELOAD,
    equivalents=Equivalents("LimitRequestBody", "", ""),
)
MAX_KEEP_ALIVE_REQUESTS = Directive(
    name="max_keep_alive_requests",
    section=Section.LIMITS,
    kind=Integer(0, (1 << 32) - 1, "REQUESTS"),
    default=0,
    meaning="Requests on one connection, after which it is closed; 0 is no limit.",
    reason="A long connection costs nothing, and closing one that a proxy reuses costs a request now and then.",
    change=Change.RELOAD,
    equivalents=Equivalents("MaxKeepAliveRequests", "", ""),
)
REQUEST_READ_TIMEOUT = Directive(
    name="request_read_timeout",
    section=Section.DEADLINES,
    kind=READ_TIMEOUTS,
    default={
        "handshake": Rate(0.0, None, None),
        "header": Rate(20.0, 40.0, 500),
        "body": Rate(20.0, None, 500),
        "response": Rate(60.0, None, 500),
    },
    meaning="Seconds a client may take, stage by stage: to begin (handshake), to send the head, to send the body, to take"
    " the answer. With MinRate it is how far a client may fall behind that rate: whoever keeps it is not cut off, except"
    " by the maximum. A late head or body is answered with 408. The stage keep_alive is keep_alive_timeout by another"
    " name. See slow-clients.md.",
    reason="Apache's numbers for head and body; Apache has none for the answer, so a slow reader could stay for ever.",
    change=Change.RELOAD,
    equivalents=Equivalents("RequestReadTimeout (mod_reqtimeout)", "", ""),
)
CONTENDED_TIMEOUT = Directive(
    name="contended_timeout",
    section=Section.DEADLINES,
    kind=CONTENDED_TIMEOUTS,
    default={"header": 0.5, "body": 2.0, "response": 5.0},
    meaning="Seconds by which a client may be behind the MinRate of its stage while other clients need what it holds:"
    " in prefork and worker, when they wait and no process or thread is idle; in event, when a child has no room for"
    " another connection. It takes the place of the first number of request_read_timeout then, so whoever keeps the rate is"
    " not concerned, nor is a stage without a MinRate. 0 leaves a stage as it is. See slow-clients.md.",
    reason="A request of usual size is there at once; a phone that loses a packet sends it again within two seconds.",
    change=Change.RELOAD,
)
KEEP_ALIVE_TIMEOUT = Directive(
    name="keep_alive_timeout",
    section=Section.DEADLINES,
    kind=Seconds(0.0, 86_400.0),
    default=75.0,
    defaults={Mpm.PREFORK: 5.0, Mpm.WORKER: 5.0},
    meaning="Seconds that a connection may wait for its next request; 0 closes after each answer.",
    reason="Under event it is more than the 60 seconds for which load balancers keep a connection, so that they end it"
    " and not we: the other order loses requests. Under prefork and worker a waiting connection holds a process or a"
    " thread, hence Apache's 5 seconds; behind a load balancer set it above that one's idle time, or to 0.",
    change=Change.RELOAD,
    equivalents=Equivalents("KeepAliveTimeout", "--keep-alive (default 2)", "--timeout-keep-alive (default 5)"),
    flags=("--keep-alive", "--timeout-keep-alive"),
)
TIMEOUT = Directive(
    name="timeout",
    section=Section.DEADLINES,
    kind=Seconds(0.0, 86_400.0),
    default=60.0,
    meaning="Seconds that the application may take to give the next thing: the beginning of its answer, the next block, the"
    " end. Then the client gets 504 (an answer that has begun is broken off) and the log gets the stack of the thread;"
    " under prefork the child is replaced, otherwise RequestTimeout is raised in the thread. 0 is for ever. Waiting for"
    " the client does not count. See timeouts.md.",
    reason="Proxies wait for an answer for 60 seconds: after that nobody would get it.",
    change=Change.RELOAD,
    equivalents=Equivalents("request-timeout of WSGIDaemonProcess (mod_wsgi)", "-t, --timeout (default 30)", ""),
    flags=("-t",),
)
TIMEOUT_GRACE = Directive(
    name="timeout_grace",
    section=Section.DEADLINES,
    kind=Seconds(0.0, 86_400.0),
    default=10.0,
    meaning="Seconds that a thread has to come back after RequestTimeout was raised in it. Then its child is replaced, the"
    " successor first.",
    reason="Time to roll back and to clean up. Whoever needs more waits for something that no exception can end.",
    change=Change.RELOAD,
    per_mpm=True,
    mpms=(Mpm.WORKER, Mpm.EVENT),
    instead="there the child of a request that takes too long has no other thread, and ends at once: see timeout",
)
SPOOL_DIRECTORY = Directive(
    name="spool_directory",
    section=Section.MEMORY,
    kind=OrWord[str, None](Text("DIRECTORY", "the path of a directory", r"[^\x00]+"), "none", None),
    default=None,
    meaning="Where the unlinked temporary files of bodies and answers are made; none is the system's place (TMPDIR).",
    reason="The system knows its temporary directory; choose another one where that is memory (tmpfs) or small.",
    change=Change.RELOAD,
    equivalents=Equivalents("", "--worker-tmp-dir (another purpose)", ""),
)
REQUEST_MEMORY = Directive(
    name="request_memory",
    section=Section.MEMORY,
    kind=Size(0, GIB),
    default=256 * KIB,
    meaning="Bytes of one request body that are held in memory before it goes to a temporary file.",
    reason="Forms and JSON stay in memory, uploads do not.",
    change=Change.RELOAD,
)
RESPONSE_MEMORY = Directive(
    name="response_memory",
    section=Section.MEMORY,
    kind=Size(0, GIB),
    default=256 * KIB,
    meaning="Bytes of one answer that are held in memory for a slow reader before they go to a temporary file.",
    reason="A page stays in memory, a download does not.",
    change=Change.RELOAD,
)
RESPONSE_LIMIT = Directive(
    name="response_limit",
    section=Section.MEMORY,
    kind=Size(KIB, TIB),
    default=64 * MIB,
    meaning="Bytes of one answer that are held for a slow reader, in memory and file; beyond it the application waits.",
    reason="Most answers fit, and an answer without end cannot take all that there is for the others.",
    change=Change.RELOAD,
)
BUFFER_MEMORY_PER_CHILD = Directive(
    name="buffer_memory_per_child",
    section=Section.MEMORY,
    kind=Size(0, TIB),
    default=16 * MIB,
    meaning="Bytes of all request bodies and waiting answers that one child holds in memory. Beyond it they go to"
    " temporary files at once, however small they are.",
    reason="Room for many ordinary forms and pages; three hundred readers that do not read cost a server little more.",
    change=Change.RELOAD,
)
SPOOL_LIMIT_PER_CHILD = Directive(
    name="spool_limit_per_child",
    section=Section.MEMORY,
    kind=Size(0, PIB),
    default=GIB,
    meaning="Bytes of all request bodies and waiting answers that one child has in temporary files. Beyond it a request"
    " body is answered with 503 and Retry-After (507 if it alone is more). Answers have a quarter of it; beyond that an"
    " application that makes an answer waits for its client.",
    reason="As much as the largest body that limit_request_body allows.",
    change=Change.RELOAD,
)
SPOOL_LIMIT = Directive(
    name="spool_limit",
    section=Section.MEMORY,
    kind=OrWord[int, None](Size(0, PIB), "auto", None),
    default=None,
    meaning="As spool_limit_per_child, for all children together; while a reload lasts, for those of each generation. auto"
    " is a quarter of what is free in spool_directory when the settings are read, and at most 4G.",
    reason="Slow clients cannot fill a disk that others need, too.",
    change=Change.RELOAD,
)
ROOT_PATH = Directive(
    name="root_path",
    section=Section.ANSWERS,
    kind=Text("PATH", "empty, or a path that begins with / and does not end with one", r"(/[^/\x00-\x20\x7f?#]+)*"),
    default="",
    meaning="The path under which a proxy has mounted the application (SCRIPT_NAME).",
    reason="An application is at the root of its server unless a proxy says otherwise.",
    change=Change.RELOAD,
    equivalents=Equivalents("the first argument of WSGIScriptAlias", "variable SCRIPT_NAME", "--root-path"),
)
SERVER_HEADER = Directive(
    name="server_header",
    section=Section.ANSWERS,
    kind=OrWord(Text("TEXT", "visible ASCII characters and spaces", r"[!-~]([ -~]*[!-~])?"), "off", ""),
    default="tricorn",
    meaning="The Server field of answers; off sends none. An application that sets the field itself wins.",
    reason="The name without a version: it helps whoever debugs and tells an attacker nothing.",
    change=Change.RELOAD,
    equivalents=Equivalents("ServerTokens", "", "--no-server-header"),
    fixed_flags={"--no-server-header": "off"},
)
SERVER_TIMING = Directive(
    name="server_timing",
    section=Section.ANSWERS,
    kind=Boolean(),
    default=False,
    meaning="A Server-Timing field in each answer of the application: milliseconds that the complete request has waited"
    " for a thread (queue) and that the application has taken until then (app).",
    reason="Off: what it tells is for the operator, and anybody could see how busy the server is.",
    change=Change.RELOAD,
)
