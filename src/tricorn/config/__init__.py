"""Values only: one table of directives, read from command line, environment and file, checked, and made into settings.

`directives` is the table, `kinds`, `compound_kinds` and `shares` are the types of values; `commandline`, `environment`
and `file` read the sources; `resolve` joins them, `check` and `check_capacity` find contradictions, `machine` says what
there is to divide, `capacity` which numbers follow from it, `build` makes `settings`; `configuration` runs all.
`show` and `reference` write for people. Nothing here opens a socket, starts a process or imports an application.
"""
