"""A template: the process that imports the application once and forks children on order.

One per generation. It drops privileges before the import, so no application code ever runs with those of the parent; it
has one thread, so that forking is safe; it reaps its children and tells the parent how they ended.
"""
