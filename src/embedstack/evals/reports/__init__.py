"""A report becomes words, pages and pictures."""
