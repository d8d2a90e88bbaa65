"""The ground of every process: clock, durations, cancellation, HTTP listener, encryption."""
