"""Directives about how much can be served at once: the numbers of an MPM, and the memory for all of it.

What is not stated follows from what is, and from the CPUs; `tricorn.config.capacity` has the rules.
"""

from __future__ import annotations

from tricorn.config.compound_kinds import OrWord
from tricorn.config.directives.shape import Change, Directive, Equivalents, Section, Variable
from tricorn.config.kinds import Integer, Seconds, Size
from tricorn.config.settings import Mpm
from tricorn.config.shares import Share, SizeOrShare

MOST_CHILDREN = 2048
MOST_THREADS = 4096
MIB, PIB = 1 << 20, 1 << 50
THREADED = (Mpm.WORKER, Mpm.EVENT)

WORKERS = Directive(
    name="workers",
    section=Section.CAPACITY,
    kind=OrWord[int, None](Integer(1, MOST_CHILDREN, "CHILDREN"), "none", None),
    default=None,
    meaning="A fixed pool: this many children, neither more nor fewer, whatever the load is. Then the same MPM cannot"
    " have start_servers, max_request_workers or a number of spare ones; the word none takes a value of another source"
    " back.",
    reason="A pool that follows the load needs no number to begin with.",
    change=Change.RELOAD,
    equivalents=Equivalents("processes of WSGIDaemonProcess (mod_wsgi)", "-w, --workers", "--workers"),
    flags=("-w",),
    variables=(Variable("WEB_CONCURRENCY"),),
    per_mpm=True,
)
START_SERVERS = Directive(
    name="start_servers",
    section=Section.CAPACITY,
    kind=OrWord[int, None](Integer(1, MOST_CHILDREN, "CHILDREN"), "auto", None),
    default=None,
    meaning="Children at the start, before the load decides. auto is made from the CPUs that the server may use"
    " (affinity and the CPU quota of its control group): prefork 2 x CPUs + 1, worker and event one per CPU but"
    " at least 2.",
    reason="prefork needs spare processes while some wait for a database; the others have threads for that, and need"
    " a second child only so that one crash does not end all service.",
    change=Change.RELOAD,
    equivalents=Equivalents("StartServers", "", ""),
    per_mpm=True,
)
MIN_SPARE_SERVERS = Directive(
    name="min_spare_servers",
    section=Section.CAPACITY,
    kind=OrWord[int, None](Integer(1, MOST_CHILDREN, "CHILDREN"), "auto", None),
    default=None,
    meaning="Idle children that there should always be: with fewer, more are started, up to max_request_workers. auto"
    " is one per CPU, or fewer where other numbers ask for it.",
    reason="What comes at once on every CPU finds a child that waits for it.",
    change=Change.RELOAD,
    equivalents=Equivalents("MinSpareServers", "", ""),
    per_mpm=True,
    mpms=(Mpm.PREFORK,),
    instead="there spare capacity is counted in threads: min_spare_threads",
)
MAX_SPARE_SERVERS = Directive(
    name="max_spare_servers",
    section=Section.CAPACITY,
    kind=OrWord[int, None](Integer(2, MOST_CHILDREN, "CHILDREN"), "auto", None),
    default=None,
    meaning="Idle children that there may be: when more have been idle for a while, one after another leaves. auto is"
    " the children at the start and one more per CPU.",
    reason="As many as at the start may stay, so that a quiet server does not change at all.",
    change=Change.RELOAD,
    equivalents=Equivalents("MaxSpareServers", "", ""),
    per_mpm=True,
    mpms=(Mpm.PREFORK,),
    instead="there spare capacity is counted in threads: max_spare_threads",
)
MIN_SPARE_THREADS = Directive(
    name="min_spare_threads",
    section=Section.CAPACITY,
    kind=OrWord[int, None](Integer(1, MOST_CHILDREN * MOST_THREADS, "THREADS"), "auto", None),
    default=None,
    meaning="Idle threads, of all children together, that there should always be: with fewer, more children are"
    " started, up to max_request_workers. auto is the threads of one child, or fewer where other numbers ask for it.",
    reason="While one child's worth of threads is idle, the next child has the time to start.",
    change=Change.RELOAD,
    equivalents=Equivalents("MinSpareThreads", "", ""),
    per_mpm=True,
    mpms=THREADED,
    instead="there spare capacity is counted in processes: min_spare_servers",
)
MAX_SPARE_THREADS = Directive(
    name="max_spare_threads",
    section=Section.CAPACITY,
    kind=OrWord[int, None](Integer(2, MOST_CHILDREN * MOST_THREADS, "THREADS"), "auto", None),
    default=None,
    meaning="Idle threads, of all children together, that there may be: when more have been idle for a while, one child"
    " after another leaves. auto is the threads at the start and those of one child more.",
    reason="As many as at the start may stay, so that a quiet server does not change at all.",
    change=Change.RELOAD,
    equivalents=Equivalents("MaxSpareThreads", "", ""),
    per_mpm=True,
    mpms=THREADED,
    instead="there spare capacity is counted in processes: max_spare_servers",
)
MAX_REQUEST_WORKERS = Directive(
    name="max_request_workers",
    section=Section.CAPACITY,
    kind=OrWord[int, None](Integer(1, MOST_CHILDREN * MOST_THREADS, "WORKERS"), "auto", None),
    default=None,
    meaning="Processes (prefork) or threads (worker, event) that there are at most, of all children together. Under"
    " worker and event it is a multiple of threads_per_child. auto: prefork 16 per CPU, up to 256; worker and event"
    " four children per CPU; and not fewer than other numbers ask for.",
    reason="Far more than CPUs can use, for handlers that wait; memory_limit holds where the memory ends before.",
    change=Change.RELOAD,
    equivalents=Equivalents("MaxRequestWorkers", "", ""),
    per_mpm=True,
)
THREADS_PER_CHILD = Directive(
    name="threads_per_child",
    section=Section.CAPACITY,
    kind=Integer(1, MOST_THREADS, "THREADS"),
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
    instead="there a connection takes a whole process or thread: size it with max_request_workers and"
    " threads_per_child, or select --mpm event",
)
MAX_QUEUED_REQUESTS = Directive(
    name="max_queued_requests",
    section=Section.CAPACITY,
    kind=Integer(1, 1_000_000, "REQUESTS"),
    default=1024,
    meaning="Complete requests that wait for a thread of one child at once. One more is answered with 503, and with a"
    " Retry-After that tells for how long the oldest of them has waited.",
    reason="Room for a burst of a hundred requests a thread: more would be answered after its clients had given up.",
    change=Change.RELOAD,
    equivalents=Equivalents("", "", "--limit-concurrency (counts connections and tasks)"),
    per_mpm=True,
    mpms=(Mpm.EVENT,),
    instead="there clients wait in the kernel's queue until a process or thread is free: bound it with backlog",
)
MAX_QUEUE_TIME = Directive(
    name="max_queue_time",
    section=Section.CAPACITY,
    kind=Seconds(0.0, 86_400.0),
    default=60.0,
    meaning="Seconds that a complete request may wait for a thread; then it is answered with 503 and Retry-After, without"
    " the application. 0 lets it wait for ever. A request whose client has gone meanwhile is dropped in any case.",
    reason="Proxies wait for an answer for 60 seconds: after that nobody would get it.",
    change=Change.RELOAD,
    equivalents=Equivalents("queue-timeout of WSGIDaemonProcess (mod_wsgi)", "", ""),
    per_mpm=True,
    mpms=(Mpm.EVENT,),
    instead="there clients wait in the kernel's queue until a process or thread is free: bound it with backlog",
)
MEMORY_LIMIT = Directive(
    name="memory_limit",
    section=Section.CAPACITY,
    kind=OrWord[int | Share, None](SizeOrShare(Size(16 * MIB, PIB)), "off", None),
    default=Share(80),
    meaning="Memory of parent, templates and children together, beyond which no more is started. What they share counts"
    " once (PSS). Written in bytes, or as a share of what the server may use: the least of the machine's memory and the"
    " limits of its control groups. A child is started only if what it will need is expected to fit; where the limit is"
    " passed all the same, the largest child leaves.",
    reason="A fifth is left for the kernel's buffers, for growth between measurements and for what else runs there.",
    change=Change.RELOAD,
)
