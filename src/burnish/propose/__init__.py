"""Stage 5: knowledge becomes candidate policies."""
