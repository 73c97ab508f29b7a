"""Whether the running task is to end: a cancellation that arrives may be someone else's, and one of ours may get lost on its way."""

import asyncio


def cancellations() -> int:
    """How often the running task was asked to end and has not yet done so (`asyncio.Task.cancelling`); 0 outside of a task."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()
