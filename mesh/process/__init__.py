"""The life of one process: settings, logs, telemetry, health, start and stop."""
