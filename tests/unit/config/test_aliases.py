"""The dialects of gunicorn and uvicorn: what is translated, passed over with a sentence, or refused with one."""

from __future__ import annotations

import pytest

from tests.unit.config.world import World
from tricorn.config.aliases import Verdict, aliases
from tricorn.config.commandline import spellings
from tricorn.config.settings import InheritedAddress, Mpm, TcpAddress, UnixAddress
from tricorn.errors import ConfigError

# Every option of gunicorn 27 and uvicorn 0.54, but -c, --config and --version, which are commands' own here.
GUNICORN_OPTIONS = """-b --bind --backlog -w --workers -k --worker-class --threads --worker-connections --max-requests
--max-requests-jitter -t --timeout --graceful-timeout --keep-alive --limit-request-line --limit-request-fields
--limit-request-field_size --reload --reload-engine --reload-extra-file --spew --check-config --print-config --preload
--no-sendfile --reuse-port --chdir -D --daemon -e --env -p --pid --worker-tmp-dir -u --user -g --group -m --umask
--initgroups --forwarded-allow-ips --access-logfile --disable-redirect-access-to-syslog --access-logformat
--error-logfile --log-file --log-level --capture-output --logger-class --log-config --log-config-json --log-syslog-to
--log-syslog --log-syslog-prefix --log-syslog-facility -R --enable-stdio-inheritance --statsd-host --dogstatsd-tags
--statsd-prefix --enable-backlog-metric -n --name --pythonpath --paste --paster --proxy-protocol --proxy-allow-from
--protocol --uwsgi-allow-from --keyfile --certfile --ssl-version --cert-reqs --ca-certs --suppress-ragged-eofs
--do-handshake-on-connect --ciphers --http-protocols --http2-cleartext --http2-max-concurrent-streams
--http2-initial-window-size --http2-max-frame-size --http2-max-header-list-size --paste-global
--permit-obsolete-folding --strip-header-spaces --permit-unconventional-http-method
--permit-unconventional-http-version --casefold-http-method --forwarder-headers --header-map --asgi-loop
--asgi-lifespan --asgi-disconnect-grace-period --websocket-max-message-size --http-parser --root-path --dirty-app
--dirty-workers --dirty-timeout --dirty-threads --dirty-graceful-timeout --control-socket --control-socket-mode
--no-control-socket"""
UVICORN_OPTIONS = """--host --port --uds --fd --reload --reload-dir --reload-include --reload-exclude --reload-delay --workers
--loop --http --http2 --ws --ws-max-size --ws-max-queue --ws-ping-interval --ws-ping-timeout --ws-per-message-deflate
--lifespan --interface --env-file --log-config --log-level --access-log --no-access-log --use-colors --no-use-colors
--proxy-headers --no-proxy-headers --server-header --no-server-header --date-header --no-date-header
--forwarded-allow-ips --root-path --limit-concurrency --backlog --limit-max-requests --limit-max-requests-jitter
--timeout-keep-alive --timeout-graceful-shutdown --timeout-worker-healthcheck --ssl-keyfile --ssl-certfile
--ssl-keyfile-password --ssl-version --ssl-cert-reqs --ssl-ca-certs --ssl-ciphers --header --app-dir
--h11-max-incomplete-event-size --reset-contextvars --factory"""
GUNICORN, UVICORN = GUNICORN_OPTIONS.split(), UVICORN_OPTIONS.split()
UNTRANSLATED = [alias for alias in aliases().values() if alias.verdict is not Verdict.TRANSLATED]


@pytest.mark.parametrize("flag", sorted({*GUNICORN, *UVICORN}))
def test_every_option_of_the_others_is_known(flag: str) -> None:
    assert flag in spellings()


@pytest.mark.parametrize("flag", sorted(aliases()))
def test_every_alias_exists_elsewhere(flag: str) -> None:
    assert flag in {*GUNICORN, *UVICORN}


@pytest.mark.parametrize("alias", UNTRANSLATED, ids=lambda alias: alias.flag)
def test_a_sentence_for_each(world: World, alias: object) -> None:
    found = next(entry for entry in UNTRANSLATED if entry is alias)
    words = [found.flag, "5"] if found.takes_value else [found.flag]
    if found.verdict is Verdict.REFUSED:
        with pytest.raises(ConfigError) as caught:
            world.configure(*words)
        assert str(caught.value) == f"option {found.flag} is not offered: {found.sentence}."
    else:
        assert world.configure(*words).warnings == (f"option {found.flag} has no effect: {found.sentence}.",)


@pytest.mark.parametrize(
    ("word", "mpm"),
    [
        ("sync", Mpm.PREFORK),
        ("gunicorn.workers.sync.SyncWorker", Mpm.PREFORK),
        ("gthread", Mpm.EVENT),
        ("gunicorn.workers.gthread.ThreadWorker", Mpm.EVENT),
        ("prefork", Mpm.PREFORK),
        ("worker", Mpm.WORKER),
        ("event", Mpm.EVENT),
    ],
)
@pytest.mark.parametrize("flag", ["-k", "--worker-class"])
def test_worker_classes(world: World, flag: str, word: str, mpm: Mpm) -> None:
    configuration = world.configure(flag, word)
    assert configuration.settings.mpm is mpm
    assert str(configuration.resolution.in_force["mpm"]) == f"option {flag}"


@pytest.mark.parametrize("word", ["asgi", "uvicorn.workers.UvicornWorker", "uvicorn_worker.UvicornWorker"])
def test_worker_classes_for_asgi(world: World, word: str) -> None:
    with pytest.raises(ConfigError, match="option -k: interface asgi is not served yet"):
        world.configure("-k", word)


@pytest.mark.parametrize(("word", "part"), [("gevent", "greenlets"), ("my.Worker", "Allowed is sync")])
def test_worker_classes_that_cannot_run(world: World, word: str, part: str) -> None:
    with pytest.raises(ConfigError, match=part):
        world.configure("-k", word)


def test_sync_with_threads_is_what_gunicorn_makes_of_it(world: World) -> None:
    configuration = world.configure("-k", "sync", "--threads", "4")
    assert configuration.settings.mpm is Mpm.EVENT
    assert configuration.settings.capacity.threads_per_child == 4
    assert "gthread" in configuration.warnings[0]


def test_sync_with_one_thread_is_prefork(world: World) -> None:
    configuration = world.configure("-k", "sync", "--threads", "1")
    assert (configuration.settings.mpm, configuration.warnings) == (Mpm.PREFORK, ())


@pytest.mark.parametrize("flag", ["--max-requests", "--limit-max-requests"])
def test_max_requests(world: World, flag: str) -> None:
    configuration = world.configure(flag, "500")
    assert configuration.settings.capacity.max_requests_per_child == 500
    assert configuration.warnings == ()


@pytest.mark.parametrize("flag", ["--max-requests-jitter", "--limit-max-requests-jitter"])
def test_jitter_is_built_in(world: World, flag: str) -> None:
    assert "has no effect: chance is built in" in world.configure(flag, "50").warnings[0]


@pytest.mark.parametrize(
    ("words", "port", "address"),
    [
        (["--host", "0.0.0.0", "--port", "81"], None, TcpAddress("0.0.0.0", 81)),
        (["--host", "::1"], None, TcpAddress("::1", 8000)),
        (["--host", "[::1]", "--port", "0"], None, TcpAddress("::1", 0)),
        (["--host", ""], None, TcpAddress("", 8000)),
        (["--port", "81"], "5000", TcpAddress("127.0.0.1", 81)),
        (["--host", "a.example"], "5000", TcpAddress("a.example", 5000)),
        ([], "5000", TcpAddress("0.0.0.0", 5000)),
        ([], "", TcpAddress("127.0.0.1", 8000)),
        (["--uds", "/run/u.sock"], "5000", UnixAddress("/run/u.sock")),
        (["--fd", "3"], "5000", InheritedAddress(3)),
        (["-b", "unix:///run/u.sock"], None, UnixAddress("/run/u.sock")),
        (["-b", "tcp://h:1"], None, TcpAddress("h", 1)),
        (["-b", "8080"], None, TcpAddress("", 8080)),
        (["-b", "localhost"], None, TcpAddress("localhost", 8000)),
        (["-b", "fd://4"], None, InheritedAddress(4)),
    ],
)
def test_addresses(world: World, words: list[str], port: str | None, address: object) -> None:
    if port is not None:
        world.variables["PORT"] = port
    assert world.configure(*words).settings.listen.addresses == (address,)


@pytest.mark.parametrize(
    "words", [["--host", "a", "-b", ":1"], ["--uds", "a", "--fd", "3"], ["--port", "1", "--listen", ":2"]]
)
def test_two_ways_to_say_where_to_listen(world: World, words: list[str]) -> None:
    with pytest.raises(ConfigError, match="both say where to listen"):
        world.configure(*words)


@pytest.mark.parametrize(
    "words", [["--host", "a b"], ["--port", "x"], ["--port", "70000"], ["--fd", "x"], ["--uds", ""]]
)
def test_bad_addresses(world: World, words: list[str]) -> None:
    with pytest.raises(ConfigError, match=f"^option {words[0]}: listen cannot be"):
        world.configure(*words)


def test_protocols(world: World) -> None:
    assert world.configure("--protocol", "http").warnings == ()
    with pytest.raises(ConfigError, match='option --protocol: the protocol cannot be "uwsgi"'):
        world.configure("--protocol", "uwsgi")


@pytest.mark.parametrize(("name", "value"), [("GUNICORN_CMD_ARGS", ""), ("UVICORN_PORT", "1"), ("SCRIPT_NAME", "/x")])
def test_variables_of_others_are_told(world: World, name: str, value: str) -> None:
    world.variables[name] = value
    assert len(world.configure().warnings) == 1
    assert name in world.configure().warnings[0]


def test_web_concurrency(world: World) -> None:
    world.variables["WEB_CONCURRENCY"] = "7"
    assert world.configure().settings.capacity.most == 7
    assert str(world.configure().resolution.in_force["workers"]) == "environment variable WEB_CONCURRENCY"
    world.variables["TRICORN_WORKERS"] = "8"
    assert world.configure().settings.capacity.most == 8


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("TRICORN_TREADS_PER_CHILD", "3", True),
        ("TRICORN_VERSION", "1.0", True),
        ("TRICORN_PORT", "8000", True),
        ("TRICORN_PORT", "tcp://10.0.0.1:80", False),
        ("TRICORN_PORT_80_TCP_ADDR", "10.0.0.1", False),
        ("TRICORN_SERVICE_HOST", "10.0.0.1", False),
        ("TRICORN_SERVICE_PORT_HTTP", "80", False),
    ],
)
def test_unknown_variables_are_told_but_those_of_service_links(world: World, name: str, value: str, told: bool) -> None:
    world.variables[name] = value
    assert [name in warning for warning in world.configure().warnings] == ([True] if told else [])


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("TRICORN_TREADS", " (did you mean TRICORN_THREADS_PER_CHILD?)"),
        ("TRICORN_WORKER", " (did you mean TRICORN_WORKERS?)"),
        ("TRICORN_KEEPALIVE_TIMEOUT", " (did you mean TRICORN_KEEP_ALIVE_TIMEOUT?)"),
        ("TRICORN_VERSION", ""),
    ],
)
def test_an_unknown_variable_is_told_with_the_one_that_may_be_meant(world: World, name: str, meant: str) -> None:
    world.variables[name] = "3"
    assert world.configure().warnings == (f"environment variable {name} is not known and has no effect{meant}.",)
