"""What people decide about learning, and the record of it."""
