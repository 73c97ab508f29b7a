"""What keeps one failure from becoming several: batching, circuit breakers and periodic work."""
