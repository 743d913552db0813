"""The operator's channel, as both its ends see it: the messages, where the sockets are, and the client's end.

The parent's end is in `tricorn.parent.control`; the verbs of the command line are in `tricorn.cli`. Nothing here serves,
decides or prints.
"""
