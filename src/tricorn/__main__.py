"""`python -m tricorn` is the command `tricorn`."""

from __future__ import annotations

from tricorn.cli import main

if __name__ == "__main__":
    main()
