"""Times whose zone the file does not tell: said in the details and by `tandem check`; stated, the bits are R's."""

from __future__ import annotations

from collections.abc import Callable

from tests.harness.tandem import Tandem, eventually, run_r

MODEL = """
set.seed(2); n <- 400
d <- data.frame(when = as.POSIXct("2024-03-09 18:00", tz = "America/New_York") + 3600 * seq_len(n), x = rnorm(n))
d$y <- d$x + as.numeric(format(d$when, "%H")) / 10
m <- lm(y ~ x + format(when, "%H") + weekdays(when), d)
"""
TRIED = """r <- d[c(1, 8, 9, 200), c("x", "when")]
cat(sprintf("%.17g,%s", r$x, format(r$when, "%Y-%m-%dT%H:%M:%SZ", tz = "UTC")), sprintf("%.17g", predict(m, r)), "")"""
STATED = "schema: {inputs: [{name: when, tz: America/New_York}]}\n"


def test_a_zone_that_no_file_tells_is_told_to_be_taken_as_utc_and_stated_gives_the_bits_of_r(
    tandem_factory: Callable[..., Tandem],
) -> None:
    tandem = tandem_factory(r_workers=1)
    tandem.drop("hours", f"{{ {MODEL} m }}")
    checked = tandem.command("check", str(tandem.r_models / "hours.rds"))
    assert "warning  the zone of 'when' is unknown" in checked.stdout
    tandem.start()
    served = tandem.version("hours", "ready")
    assert served is not None
    [warning] = served["load_warnings"]
    assert "state tz in the sidecar" in warning

    tried = run_r(MODEL + TRIED).split()
    rows = [{"x": float(x), "when": when} for x, when in (text.split(",") for text in tried[:4])]
    right = [float(text) for text in tried[4:]]
    assert tandem.score("hours", {"rows": rows}).json()["predictions"] != right

    (tandem.r_models / "hours.yaml").write_text(STATED)
    eventually(lambda: "load_warnings" not in (tandem.version("hours", "ready") or {"load_warnings": 1}), timeout_s=60)
    assert tandem.score("hours", {"rows": rows}).json()["predictions"] == right
