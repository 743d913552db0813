from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tricorn.config.settings import Application, Interface
from tricorn.errors import ApplicationError
from tricorn.template.application import Loaded, load

WSGI = "def application(environ, start_response): ...\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory that is searched, and modules that are forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def found(reference: str, *, factory: bool = False, interface: Interface = Interface.AUTO) -> Loaded:
    return load(Application(reference, factory, interface))


def refused(reference: str, *, factory: bool = False, interface: Interface = Interface.AUTO) -> str:
    with pytest.raises(ApplicationError) as caught:
        load(Application(reference, factory, interface))
    return str(caught.value)


def name(loaded: Loaded) -> str:
    return str(loaded.callable.__name__)


def test_the_usual_names_are_tried_in_order(here: Path) -> None:
    (here / "one.py").write_text("def app(e, s): ...\n" + WSGI)
    (here / "two.py").write_text("def app(e, s): ...\n")
    assert name(found("one")) == "application"
    assert name(found("two")) == "app"
    assert found("one").interface is Interface.WSGI


def test_a_dotted_attribute_and_a_package(here: Path) -> None:
    (here / "shop").mkdir()
    (here / "shop" / "wsgi.py").write_text("class site:\n    @staticmethod\n    def serve(e, s): ...\n")
    assert name(found("shop.wsgi:site.serve")) == "serve"


def test_factories(here: Path) -> None:
    (here / "shop.py").write_text(
        "def make(word='none'):\n    def app(e, s): return word\n    app.__name__ = word\n    return app\n"
    )
    assert name(found("shop:make()")) == "none"
    assert name(found("shop:make('spring')")) == "spring"
    assert name(found("shop:make(word='summer')")) == "summer"
    assert name(found("shop:make", factory=True)) == "none"
    assert "the factory shop:make failed" in refused("shop:make(1, 2, 3)")


def test_a_file_finds_its_neighbours(here: Path) -> None:
    (here / "deep").mkdir()
    (here / "deep" / "neighbour.py").write_text("WORD = 1\n")
    (here / "deep" / "served.py").write_text("import neighbour\n" + WSGI)
    assert name(found("deep/served.py:application")) == "application"
    assert "there is no file" in refused("deep/absent.py")


def test_a_module_that_is_elsewhere(here: Path) -> None:
    (here / "project").mkdir()
    (here / "project" / "shop.py").write_text(WSGI)
    assert "it exists below" in refused("shop") and "--chdir project" in refused("shop")


def test_a_module_that_is_misspelt(here: Path) -> None:
    (here / "shop.py").write_text(WSGI)
    assert "did you mean shop?" in refused("shpo")


def test_a_submodule_that_is_not_there(here: Path) -> None:
    (here / "shop").mkdir()
    (here / "shop" / "__init__.py").touch()
    text = refused("shop.wsgi")
    assert "there is no module 'shop.wsgi'" in text and "shop was found at" in text


def test_a_dependency_that_is_missing(here: Path) -> None:
    (here / "shop.py").write_text("import django_of_another_world\n")
    text = refused("shop")
    assert "the module 'django_of_another_world' that it imports is not installed for" in text
    assert sys.executable in text
    assert "shop.py" in text


def test_errors_show_the_applications_frames_only(here: Path) -> None:
    (here / "shop.py").write_text("def inner():\n    return 1 / 0\ninner()\n")
    text = refused("shop")
    assert "ZeroDivisionError" in text and "in inner" in text
    assert "importlib" not in text and "application.py" not in text


def test_a_syntax_error_shows_its_line(here: Path) -> None:
    (here / "shop.py").write_text("def application(:\n")
    text = refused("shop")
    assert "SyntaxError" in text and "line 1" in text


def test_attributes_that_are_not_there(here: Path) -> None:
    (here / "shop.py").write_text("def applicaton(e, s): ...\n")
    assert "did you mean applicaton?" in refused("shop:application")
    assert "neither application nor app" in refused("shop") and "applicaton" in refused("shop")
    assert "has no attribute 'site'" in refused("shop:site.app")


def test_what_cannot_be_called(here: Path) -> None:
    (here / "shop.py").write_text("application = 5\n")
    assert "shop:application is an int, which cannot be called" in refused("shop:application")
    assert "not a factory" in refused("shop:application", factory=True)


def test_a_factory_that_was_not_called(here: Path) -> None:
    (here / "shop.py").write_text("def make(): ...\ndef three(a, b, c): ...\n")
    assert "if it is a factory, use --factory" in refused("shop:make")
    assert "takes 3 arguments" in refused("shop:three")


@pytest.mark.parametrize(
    "source",
    [
        "async def app(scope, receive, send): ...\n",
        "class App:\n    async def __call__(self, scope, receive, send): ...\napp = App()\n",
        "def app(scope, receive, send): ...\n",
        "import functools\nasync def serve(a, scope, receive, send): ...\napp = functools.partial(serve, 1)\n",
    ],
)
def test_asgi_is_detected_and_refused_with_what_to_do(here: Path, source: str) -> None:
    (here / "shop.py").write_text(source)
    assert "is an ASGI application; this version serves WSGI only" in refused("shop:app")
    (here / "plain.py").write_text(WSGI)
    assert "is an ASGI application" in refused("plain", interface=Interface.ASGI)
    assert found("shop:app", interface=Interface.WSGI).interface is Interface.WSGI


@pytest.mark.parametrize(
    "source",
    [
        "class App:\n    def __call__(self, environ, start_response): ...\napp = App()\n",
        "class App:\n    def __init__(self, environ, start_response): ...\napp = App\n",
        "app = lambda *arguments: None\n",
        "def app(environ, start_response, extra=None): ...\n",
    ],
)
def test_wsgi_in_its_many_shapes(here: Path, source: str) -> None:
    (here / "shop.py").write_text(source)
    assert found("shop:app").interface is Interface.WSGI
