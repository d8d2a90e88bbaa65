"""What a process tells of itself: metrics, logs, traces, and what is masked in them. Any room may import it."""
