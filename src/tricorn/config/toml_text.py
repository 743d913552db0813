"""Writing values as TOML, for files that `tricorn check --toml` prints and for messages that quote a file."""

from __future__ import annotations

import json


def toml(value: object) -> str:
    """A value as TOML writes it on one line; what no directive takes (a date) as Python writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return toml_string(value)
    if isinstance(value, list):
        return f"[{', '.join(toml(item) for item in value)}]"
    if isinstance(value, dict):
        pairs = ", ".join(f"{toml_string(str(key))} = {toml(item)}" for key, item in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    return str(value)


def toml_string(text: str) -> str:
    """A basic string. JSON escapes the same way but leaves DEL alone, which TOML does not allow."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
