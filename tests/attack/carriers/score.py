"""A script that says how each payload ended when it was imported, in init() and in run()."""

ended = {"import": outcomes(ATTACK["payloads"], ATTACK["targets"])}  # noqa: F821 (as in model.py)


def init():
    ended["init"] = outcomes(ATTACK["payloads"], ATTACK["targets"])  # noqa: F821


def run(raw_data):
    return ended | {"run": outcomes(ATTACK["payloads"], ATTACK["targets"])}  # noqa: F821
