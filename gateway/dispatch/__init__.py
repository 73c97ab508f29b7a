"""Committed notifications onto the bus: outbox, fair lanes, relay."""
