"""Pure estimators: arrays and numbers in, arrays and numbers out; no clock, no store, no other stage."""
