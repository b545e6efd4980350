"""Stage 7: what was learned decides. A decision is a pure function of belief, configuration and one random number."""
