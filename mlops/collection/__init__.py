"""Collection: copies of requests and answers, kept on this disk until they are in the store, and read again there."""
