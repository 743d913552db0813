"""A small Django site with admin, sessions and forms, only for the measurement of memory."""
