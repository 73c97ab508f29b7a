"""The processes in which templates are compiled and rendered, which may be killed at any time without harm to anything else."""
