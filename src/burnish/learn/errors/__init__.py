"""Errors become knowledge: patterns with fixes, matched in linear time, and what it took to resolve each error."""
