"""Stage 1: runs come in. Nothing here decides; nothing here may slow, block or break the host."""
