"""A model that says how each payload ended: by its number when it is called, by its negative as the model was read."""

NAMES = [*ATTACK["payloads"]]  # noqa: F821 (tests/attack/payloads.py writes what comes before)
AT_LOAD = outcomes(ATTACK["payloads"], ATTACK["targets"])  # noqa: F821


class Model:
    n_features_in_ = 1

    def predict(self, X):
        return [self.answer(int(number)) for (number,) in X]

    def answer(self, number):
        if number < 0:
            return AT_LOAD[NAMES[-number - 1]]
        name = NAMES[number - 1]
        return outcomes({name: ATTACK["payloads"][name]}, ATTACK["targets"])[name]  # noqa: F821
