"""From the reference to the callable: import, attribute, factory, interface; with errors that help.

Used by the template, by a child that imports for itself, and by `tricorn check`. The surroundings (working directory,
search path) were applied before.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Final

from tricorn.config.settings import Application, Interface
from tricorn.errors import ApplicationError
from tricorn.template.reference import Call, Reference, parse

_USUAL_NAMES: Final = ("application", "app")
_OWN_CODE: Final = str(Path(__file__).resolve().parents[1])


@dataclass(frozen=True, slots=True)
class Loaded:
    """An application that can be called."""

    callable: Callable[..., object]
    interface: Interface
    """WSGI or ASGI, never AUTO."""


def load(application: Application) -> Loaded:
    """Import and find the application.

    Raises:
        ApplicationError: it cannot be imported, found or called; the text has the application's traceback if it is to
            blame, without the frames of this server.
    """
    reference = parse(application.reference)
    module = _import(reference)
    value = _attribute(module, reference)
    name = f"{reference.module}:{reference.attribute}" if reference.attribute else reference.module
    call = reference.call
    if application.factory and call is None:
        call = Call((), ())
    if call is not None:
        value = _make(name, value, call)
        name = f"what the factory {name} returned"
    if not callable(value):
        raise ApplicationError(f"{name} is {_article(type(value).__name__)}, which cannot be called")
    return Loaded(value, _interface(name, value, application.interface, from_factory=call is not None))


def _import(reference: Reference) -> ModuleType:
    try:
        return _import_file(Path(reference.module)) if reference.is_file else importlib.import_module(reference.module)
    except ApplicationError:
        raise
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if not reference.is_file and (reference.module == missing or reference.module.startswith(missing + ".")):
            raise ApplicationError(_not_found(reference.module, missing)) from error
        hint = ""
        if missing:
            hint = (
                f"\nthe module {missing!r} that it imports is not installed for {sys.executable}: "
                "install it there, or start tricorn with the Python that has it"
            )
        raise ApplicationError(f"importing {reference.module} failed{hint}\n{_traceback(error)}") from error
    except (Exception, SystemExit) as error:
        raise ApplicationError(f"importing {reference.module} failed\n{_traceback(error)}") from error


def _import_file(path: Path) -> ModuleType:
    path = path.absolute()
    if not path.is_file():
        raise ApplicationError(f"there is no file {path}")
    directory = str(path.parent)
    if directory not in sys.path:
        sys.path.insert(0, directory)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ApplicationError(f"{path} cannot be imported as Python")
    module = importlib.util.module_from_spec(spec)
    # As an import would: modules that import each other, dataclasses and pickle look it up there.
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(path.stem, None)
        raise
    return module


def _not_found(module: str, missing: str) -> str:
    text = f"there is no module {missing!r}; searched from the working directory {Path.cwd()}"
    as_path = Path(*module.split("."))
    if "." in missing and (found := sys.modules.get(missing.rpartition(".")[0])) is not None:
        return f"{text}\n{found.__name__} was found at {getattr(found, '__file__', None) or 'a namespace package'}"
    for directory in sorted(
        entry for entry in Path.cwd().iterdir() if entry.is_dir() and not entry.name.startswith(".")
    ):
        if (directory / as_path).with_suffix(".py").is_file() or (directory / as_path / "__init__.py").is_file():
            return f"{text}\nit exists below {directory}: use --chdir {directory.name}"
    names = {entry.stem for entry in Path.cwd().iterdir() if entry.suffix == ".py" or entry.is_dir()}
    close = _near(missing.partition(".")[0], names)
    return f"{text}\ndid you mean {close[0]}?" if close else f"{text}\nuse --chdir or --pythonpath if it is elsewhere"


def _attribute(module: ModuleType, reference: Reference) -> object:
    if not reference.attribute:
        for name in _USUAL_NAMES:
            if hasattr(module, name):
                value: object = getattr(module, name)
                return value
        raise ApplicationError(
            f"{reference.module} has neither {' nor '.join(_USUAL_NAMES)}; "
            f"say which: {reference.module}:NAME{_candidates(module)}"
        )
    owner: object = module
    path = reference.module
    for part in reference.attribute.split("."):
        try:
            owner = getattr(owner, part)
        except AttributeError as error:
            close = _near(part, [name for name in dir(owner) if not name.startswith("_")])
            hint = f"; did you mean {close[0]}?" if close else _candidates(owner)
            raise ApplicationError(f"{path} has no attribute {part!r}{hint}") from error
        except Exception as error:
            raise ApplicationError(f"reading {part!r} of {path} failed\n{_traceback(error)}") from error
        path = f"{path}:{part}" if owner is module else f"{path}.{part}"
    return owner


def _candidates(owner: object) -> str:
    """What in a module might be meant: its own callables and instances of imported classes."""
    if not isinstance(owner, ModuleType):
        return ""
    found = [
        name
        for name, value in vars(owner).items()
        if not name.startswith("_") and callable(value) and not isinstance(value, type)
    ]
    return f" (it has {', '.join(found[:8])})" if found else ""


def _make(name: str, factory: object, call: Call) -> object:
    if not callable(factory):
        raise ApplicationError(f"{name} is {_article(type(factory).__name__)}, not a factory that can be called")
    try:
        made: object = factory(*call.arguments, **dict(call.keywords))
    except (Exception, SystemExit) as error:
        raise ApplicationError(f"the factory {name} failed\n{_traceback(error)}") from error
    if inspect.iscoroutine(made):
        made.close()
        raise ApplicationError(f"the factory {name} is asynchronous; a factory must return the application itself")
    return made


def _interface(name: str, value: Callable[..., object], forced: Interface, *, from_factory: bool) -> Interface:
    interface = forced if forced is not Interface.AUTO else _detect(name, value, from_factory=from_factory)
    if interface is Interface.ASGI:
        raise ApplicationError(
            f"{name} is an ASGI application; this version serves WSGI only. Serve the framework's WSGI application if it "
            "has one (Django: get_wsgi_application), or wrap this one (a2wsgi); --interface wsgi overrules the detection"
        )
    return interface


def _detect(name: str, value: Callable[..., object], *, from_factory: bool) -> Interface:
    plain: Callable[..., object] = value
    while isinstance(plain, partial):
        plain = plain.func
    call = getattr(type(plain), "__call__", None)  # noqa: B004  (looked at, not only tested for)
    if inspect.iscoroutinefunction(plain) or inspect.iscoroutinefunction(call):
        return Interface.ASGI
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return Interface.WSGI
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required = [item for item in parameters if item.kind in positional and item.default is inspect.Parameter.empty]
    if [item.name for item in required] == ["scope", "receive", "send"]:
        return Interface.ASGI
    takes_any = any(item.kind is inspect.Parameter.VAR_POSITIONAL for item in parameters)
    accepted = sum(item.kind in positional for item in parameters)
    if not takes_any and (accepted < 2 or len(required) > 2):  # WSGI: environ, start_response
        hint = "" if from_factory or required else "; if it is a factory, use --factory"
        raise ApplicationError(
            f"{name} takes {len(required)} arguments; a WSGI application takes two (environ, start_response){hint}"
        )
    return Interface.WSGI


def _near(name: str, known: Iterable[str]) -> list[str]:
    """The one that was meant, perhaps."""
    from difflib import get_close_matches  # noqa: PLC0415  (nothing that serves has a use for it)

    return get_close_matches(name, sorted(known), n=1)


def _traceback(error: BaseException) -> str:
    """The traceback from the first frame of the application on."""
    frame: TracebackType | None = error.__traceback__
    while frame is not None and _is_ours(frame.tb_frame.f_code.co_filename):
        frame = frame.tb_next
    lines = traceback.format_exception(type(error), error.with_traceback(frame), frame, chain=True)
    return "".join(lines).strip()


def _is_ours(filename: str) -> bool:
    return filename.startswith((_OWN_CODE, "<frozen importlib")) or filename == importlib.__file__


def _article(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"
