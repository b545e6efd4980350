"""Burnish."""
