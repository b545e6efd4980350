"""Stage 4: scored runs become knowledge. All of it is additive or recomputable from the ledger."""
