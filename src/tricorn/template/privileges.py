"""Giving up the parent's privileges, for good, before any application code is imported."""

from __future__ import annotations

import os
import pwd

from tricorn.config.settings import Identity
from tricorn.errors import ConfigError


def drop(identity: Identity) -> None:
    """Become the user and group of `identity` and set the umask. Order matters: groups first, the user last.

    A user without a group gets the user's own primary group, never the parent's.

    Raises:
        ConfigError: this process may not do that.
    """
    if identity.umask is not None:
        os.umask(identity.umask)
    user, group = identity.user, identity.group
    if user is None and group is None:
        return
    entry = _entry(user) if user is not None else None
    if group is None:
        group = entry.pw_gid if entry is not None else os.getgid()
    if os.geteuid() != 0:
        if (user is None or user == os.getuid() == os.geteuid()) and group == os.getgid() == os.getegid():
            return
        wanted = f"user {user}" if user is not None else f"group {group}"
        message = f"user, group: only root can change to {wanted}; start as root, or leave both out"
        raise ConfigError(message)
    try:
        if entry is not None:
            os.initgroups(entry.pw_name, group)
        else:
            os.setgroups([group])
        os.setresgid(group, group, group) if hasattr(os, "setresgid") else os.setgid(group)
        if user is not None:
            os.setresuid(user, user, user) if hasattr(os, "setresuid") else os.setuid(user)
    except OSError as error:
        message = f"user, group: cannot change to user {user}, group {group}: {error.strerror}"
        raise ConfigError(message) from error


def _entry(user: int) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(user)
    except KeyError:
        # A number without a name, as containers like to use.
        return None
