"""What people see in a browser: drawn and rendered on the server, from records."""
