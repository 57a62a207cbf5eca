"""The content-addressed, crash-safe home of fits, measurements, decisions and entries."""
