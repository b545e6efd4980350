"""Stage 6: candidates earn trust: lifecycle, replay, shadow, canary, rollback, promotion."""
