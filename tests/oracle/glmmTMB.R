# glmmTMB: counts with and without groups and inflation by zeros, offsets, new groups.

tmb_data <- function() {
  set.seed(1)
  data <- data.frame(
    site = factor(sample(sprintf("s%02d", 1:12), 400, TRUE)), kind = sample(c("old", "new"), 400, TRUE),
    x = rnorm(400), hours = rlnorm(400)
  )
  data$n <- rpois(400, data$hours * exp(0.3 + 0.4 * data$x + as.integer(data$site) / 20)) * rbinom(400, 1, 0.8)
  data
}

tmb_rows <- function() {
  rows <- tmb_data()[1:210, c("x", "kind", "site", "hours")]
  rows$x[1:4] <- c(NA, -30, 30, 0)
  rows
}

tmb_answer <- function(type, ...) function(model, rows) predict(model, rows, type = type, ...)

case(
  "glmmtmb-negative-binomial",
  fit = function() {
    data <- tmb_data()
    glmmTMB::glmmTMB(n ~ x + kind + (1 | site), data, family = glmmTMB::nbinom2)
  },
  rows = function() tmb_rows()[c("x", "kind", "site")],
  expect = list(response = tmb_answer("response"), link = tmb_answer("link"))
)

case(
  "glmmtmb-inflated",
  fit = function() {
    data <- tmb_data()
    glmmTMB::glmmTMB(n ~ poly(x, 2) + offset(log(hours)) + (1 | site), data, ziformula = ~kind, family = poisson)
  },
  rows = function() tmb_rows()[-1, ],
  expect = list(
    response = tmb_answer("response"), link = tmb_answer("link"), conditional = tmb_answer("conditional"),
    zprob = tmb_answer("zprob")
  )
)

case(
  "glmmtmb-population",
  fit = function() glmmTMB::glmmTMB(n ~ x + (x | site), tmb_data(), family = poisson),
  rows = function() tmb_rows()[c("x", "site")],
  expect = list(response = tmb_answer("response", re.form = NA)),
  options = list(re.form = "none")
)
