"""What becomes of a delivery between the bus and a provider; shared by all workers."""
