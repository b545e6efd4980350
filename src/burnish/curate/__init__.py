"""Stage 3: runs become data one may learn from."""
