"""PostgreSQL and Redis: connections, transactions and migrations."""
