"""Outcomes from the bus into rows, timelines and dead letters."""
