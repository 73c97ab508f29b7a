"""The gateway: the public API over REST and gRPC; owns notifications from their acceptance to their last outcome."""
