"""Tools that every process uses: clock, durations, cancellation, HTTP listener, encryption, addresses."""
