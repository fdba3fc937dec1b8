"""Other servers, each with the code that its documentation shows; all of them call the models through `scoring`.

These modules run in the peers' own environments (`make bench-peers`), so they import nothing of Tandem.
"""
