"""Stage 2: each run gets one loss, and says what it is made of."""
