"""Decisions without deeds: what the parent must do next, computed from facts.

Everything here is pure: no operating system, no signals, no sockets, no clock. The parent counts a census, asks
`lifecycle.decide`, performs the orders, and comes back at the deadline it was told. So every decision can be tested
with made-up facts, and none can block.
"""
