"""The HTTP half of each contract that clients may speak: paths, headers, the form of errors. No body is parsed here."""
