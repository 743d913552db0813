"""A child: what happens between the fork and the end of a process that serves.

`serve.run` is the whole life. `channel` and `messages` are how a child and its parent talk; the template uses the same
channel with messages of its own.
"""
