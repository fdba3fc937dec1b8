"""The bytes between a web process and a worker; `README.md` in this folder is the specification."""
