# Harrell's rms: with and without a datadist, splines, factors, text, strata, ordinal responses.

rms_data <- function() {
  set.seed(1)
  data <- data.frame(
    age = round(rnorm(300, 60, 12)), sex = factor(sample(c("m", "f"), 300, TRUE), c("m", "f")),
    site = sample(c("Bern", "Z\u00fcrich", "Genf"), 300, TRUE), stage = sample(1:4, 300, TRUE)
  )
  data$dead <- rbinom(300, 1, plogis((data$age - 60) / 12 + (data$sex == "m") - 0.3 * data$stage))
  data$pain <- cut(data$age / 20 + data$stage + rnorm(300), 4, labels = c("none", "some", "much", "most"))
  data$weeks <- rexp(300, exp(data$age / 60 - 4))
  data
}

rms_rows <- function() {
  rows <- rms_data()[1:220, c("age", "sex", "site", "stage")]
  rows$age[1:4] <- c(NA, -5, 1e4, 60.5)
  rows$sex[5] <- NA
  rows$site[6] <- NA
  rows
}

rms_fit <- function(fit, described = TRUE) {
  library(rms)
  data <- rms_data()
  if (described) {
    assign("oracle_datadist", rms::datadist(data), envir = globalenv())
    options(datadist = "oracle_datadist")
  }
  model <- fit(data)
  options(datadist = NULL)
  model
}

rms_lp <- function(model, rows) predict(model, rows)
rms_type <- function(type) function(model, rows) predict(model, rows, type = type)

case(
  "rms-lrm",
  fit = function() rms_fit(function(data) lrm(dead ~ rcs(age, 3) * sex + site, data)),
  rows = function() rms_rows()[c("age", "sex", "site")],
  expect = list(lp = rms_lp, fitted = rms_type("fitted"))
)

case(
  "rms-lrm-ordinal",
  fit = function() rms_fit(function(data) lrm(pain ~ pol(age, 2) + sex, data)),
  rows = function() rms_rows()[c("age", "sex")],
  expect = list(lp = rms_lp, fitted = rms_type("fitted"), fitted.ind = rms_type("fitted.ind"))
)

case(
  "rms-ols",
  fit = function() rms_fit(function(data) ols(weeks ~ rcs(age, 4) + sex + catg(stage), data), described = FALSE),
  rows = function() rms_rows()[c("age", "sex", "stage")],
  expect = list(lp = rms_lp)
)

case(
  "rms-glm",
  fit = function() rms_fit(function(data) Glm(dead ~ age + log(stage) + sex, binomial, data)),
  rows = function() rms_rows()[c("age", "stage", "sex")],
  expect = list(lp = rms_lp, fitted = function(model, rows) model$family$linkinv(predict(model, rows)))
)

case(
  "rms-cph",
  fit = function() rms_fit(function(data) cph(survival::Surv(weeks, dead) ~ rcs(age, 3) + strat(sex) + stage, data)),
  rows = function() rms_rows()[c("age", "sex", "stage")],
  expect = list(lp = rms_lp)
)

case(
  "rms-orm",
  fit = function() rms_fit(function(data) orm(pain ~ age + lsp(stage, 2), data)),
  rows = function() rms_rows()[c("age", "stage")],
  expect = list(lp = rms_lp, fitted = rms_type("fitted"))
)

case(
  "rms-gls",
  fit = function() {
    rms_fit(function(data) Gls(weeks ~ rcs(age, 3) + sex, data, correlation = nlme::corCompSymm(form = ~ 1 | stage)))
  },
  rows = function() rms_rows()[c("age", "sex")],
  expect = list(lp = rms_lp)
)

case(
  "rms-rq",
  fit = function() rms_fit(function(data) Rq(weeks ~ rcs(age, 3) * sex, data = data, tau = 0.5)),
  rows = function() rms_rows()[c("age", "sex")],
  expect = list(lp = rms_lp)
)

case(
  "rms-psm",
  fit = function() {
    rms_fit(function(data) psm(survival::Surv(weeks, dead) ~ rcs(age, 3) + sex + site, data, dist = "lognormal"))
  },
  rows = function() rms_rows()[c("age", "sex", "site")],
  expect = list(lp = rms_lp)
)
