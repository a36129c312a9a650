"""`make bench`: each file measures one ratio against a named peer, both timed in the same run.

A file offers `measure() -> list[Ratio]`; `benchmarks/__main__.py` runs them all and prints one table.
"""
