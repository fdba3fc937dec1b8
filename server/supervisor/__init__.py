"""The process that starts, watches and stops all others; it serves no request."""
