"""The runtime that every process of Clarion shares; it knows no business words."""
