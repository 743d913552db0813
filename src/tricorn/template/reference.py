"""The words that name an application, taken apart: `module`, `module:attribute`, `module:factory(1)`, `path/file.py:app`.

Text in, values out; nothing is imported here.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

from tricorn.errors import ApplicationError


@dataclass(frozen=True, slots=True)
class Call:
    """Literal arguments of a factory."""

    arguments: tuple[object, ...]
    keywords: tuple[tuple[str, object], ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """Where the application is."""

    module: str
    """A dotted module name, or the path of a file that ends in .py."""
    attribute: str
    """A dotted attribute; "" is the usual names."""
    call: Call | None
    """Set when the attribute is a factory to be called."""

    @property
    def is_file(self) -> bool:
        """Whether `module` is the path of a file."""
        return self.module.endswith(".py")


def parse(text: str) -> Reference:
    """Take a reference apart; raises ApplicationError that says what is allowed."""
    module, colon, attribute = text.strip().partition(":")
    if not module:
        raise _malformed(text, "no module before the colon")
    if not module.endswith(".py") and not all(part.isidentifier() for part in module.split(".")):
        hint = f": write {module}.py if it is a file" if "/" in module else ""
        raise _malformed(text, f"{module!r} is no module name{hint}")
    if not colon:
        return Reference(module, "", None)
    try:
        expression = ast.parse(attribute.strip(), mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise _malformed(text, f"{attribute!r} is neither an attribute nor a call") from error
    if not isinstance(expression, ast.Call):
        return Reference(module, _dotted(text, expression), None)
    try:
        arguments = tuple(ast.literal_eval(argument) for argument in expression.args)
        keywords = tuple((keyword.arg or "", ast.literal_eval(keyword.value)) for keyword in expression.keywords)
    except ValueError as error:
        raise _malformed(text, "the arguments of a factory must be literals") from error
    if any(not name for name, _ in keywords):
        raise _malformed(text, "the arguments of a factory must be literals")
    return Reference(module, _dotted(text, expression.func), Call(arguments, keywords))


def _dotted(text: str, expression: ast.expr) -> str:
    parts: list[str] = []
    while isinstance(expression, ast.Attribute):
        parts.append(expression.attr)
        expression = expression.value
    if not isinstance(expression, ast.Name):
        raise _malformed(text, "what follows the colon must be a name, a dotted name, or a call of one")
    return ".".join([expression.id, *reversed(parts)])


def _malformed(text: str, why: str) -> ApplicationError:
    return ApplicationError(
        f"{text!r} names no application: {why}; allowed are module:attribute, module, module:factory() and path/file.py:attribute"
    )
