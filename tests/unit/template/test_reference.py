from __future__ import annotations

import pytest

from tricorn.errors import ApplicationError
from tricorn.template.reference import Call, Reference, parse


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("shop", Reference("shop", "", None)),
        ("shop.wsgi", Reference("shop.wsgi", "", None)),
        ("shop.wsgi:application", Reference("shop.wsgi", "application", None)),
        ("shop:site.application", Reference("shop", "site.application", None)),
        ("shop:make()", Reference("shop", "make", Call((), ()))),
        (
            "shop:make.app('a', 1, debug=True)",
            Reference("shop", "make.app", Call(("a", 1), (("debug", True),))),
        ),
        ("shop:make({'a': [1, None]}, -2)", Reference("shop", "make", Call(({"a": [1, None]}, -2), ()))),
        ("path/to/file.py", Reference("path/to/file.py", "", None)),
        ("/path/file.py:app", Reference("/path/file.py", "app", None)),
    ],
)
def test_what_names_an_application(text: str, reference: Reference) -> None:
    assert parse(text) == reference


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no module"),
        (":app", "no module"),
        ("not a module:app", "is no module name"),
        ("path/to/file:app", r"write path/to/file.py if it is a file"),
        ("shop:", "neither an attribute nor a call"),
        ("shop:1 + 1", "must be a name"),
        ("shop:make(name)", "literals"),
        ("shop:make(**{'a': 1})", "literals"),
        ("shop:make(__import__('os'))", "literals"),
        ("shop:a[0]", "must be a name"),
        ("shop:make()()", "must be a name"),
        ("shop:app; import os", "neither an attribute nor a call"),
        ("shop:" + "(" * 5000, "neither an attribute nor a call"),
    ],
)
def test_what_names_none(text: str, why: str) -> None:
    with pytest.raises(ApplicationError, match=why):
        parse(text)
