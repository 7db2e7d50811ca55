"""What networks answer, a folder a task."""
