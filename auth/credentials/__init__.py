"""What proves who is asking, one kind of credential a file.

Owns how each kind is verified. Must not know HTTP beyond the header that a credential came in.
"""
