"""What the machine grants a process and forbids it."""
