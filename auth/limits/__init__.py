"""How much each principal may ask for: rates and quotas, and how much they have asked for.

Owns the limits an administrator sets, the buckets that hold callers to them, and the exchange of what was let through
between processes and servers of one database. Must not know HTTP, but for the two headers that tell of limits.
"""
