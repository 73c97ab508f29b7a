"""The runtime that every process shares: how it starts, talks, stores, fails and stops. It holds no business word."""
