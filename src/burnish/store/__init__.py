"""The ledger: tables, migrations, SQLite and PostgreSQL behind one `Store`.

The store hands out transactions; the SQL of a stage lives with its stage. It never decides, and never makes ids or
timestamps: it writes what it is given.
"""
