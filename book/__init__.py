"""The book's own tooling lives in `book.kit`; everything else in this folder is a chapter."""
