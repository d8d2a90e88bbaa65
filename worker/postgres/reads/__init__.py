"""Reads that change nothing: the timeline, lists, the state of the installation."""
