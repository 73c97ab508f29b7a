"""Persisted sagas: their state as pure data, and the orchestrator that runs their steps."""
