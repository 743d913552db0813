"""Tricorn: a web server for Python applications with multi-processing modules."""
