"""Who is asking and what they may do.

Owns accounts, sessions, access tokens and their routes. Knows nothing of models and never imports `server`.
fastapi is imported in `routes` only, python-jose in `jws.py`, argon2 in `passwords.py`, sqlite3 in `sqlite.py`,
psycopg in `postgresql.py` and `postgresql_address.py`, aiohttp in `credentials/fetch.py`.
"""
