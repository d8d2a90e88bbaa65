"""What a process reports of itself: metrics, logs, traces, and the masking of callbacks. Any room may import it."""
