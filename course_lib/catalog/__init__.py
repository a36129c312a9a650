"""Facts as data: accelerators, instances, prices, model configurations and published results, each with source and date.

Rows are read on first use and kept; pandas is imported only by the functions that hand out frames.
"""

from course_lib.catalog.errors import CatalogError, UnknownNameError, UnknownPriceError

__all__ = ["CatalogError", "UnknownNameError", "UnknownPriceError"]
