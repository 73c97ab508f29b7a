"""The feed of changes: every change of a project's notifications, in one order that can be resumed."""
