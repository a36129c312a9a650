"""Sphinx extensions of this book: each does one thing that the stack leaves undone."""
