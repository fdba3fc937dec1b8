# predict() gives several quantiles of one row as a vector.

survreg_patients <- function() {
  rows <- survival::lung[, c("age", "sex", "ph.ecog", "wt.loss")]
  rows$age[1:3] <- c(0, -1e3, 1e4)
  rows$age[c(10, 40)] <- NA
  rows[20, c("age", "ph.ecog", "wt.loss")] <- NA
  rownames(rows) <- NULL
  rows
}

survreg_type <- function(type) {
  force(type)
  function(model, rows) predict(model, rows, type = type)
}

survreg_quantiles <- function(p) {
  force(p)
  function(model, rows) {
    matrix(predict(model, rows, type = "quantile", p = p), nrow(rows), length(p), dimnames = list(NULL, p))
  }
}

case(
  "survreg-weibull",
  fit = function() survival::survreg(survival::Surv(time, status) ~ age + factor(sex) + ph.ecog, survival::lung),
  rows = survreg_patients,
  expect = list(
    response = survreg_type("response"), lp = survreg_type("lp"), terms = survreg_type("terms"),
    quantiles = survreg_quantiles(c(0.1, 0.9))
  )
)

case(
  "survreg-median",
  fit = function() {
    library(survival)
    survreg(Surv(time, status) ~ pmax(age, 30) * sex, lung, dist = "lognormal", model = TRUE, y = FALSE)
  },
  rows = survreg_patients,
  expect = list(
    response = survreg_type("response"), lp = survreg_type("lp"), terms = survreg_type("terms"),
    quantiles = survreg_quantiles(0.5)
  ),
  options = list(p = 0.5)
)

case(
  "survreg-strata",
  fit = function() {
    library(survival)
    survreg(Surv(time, status) ~ age + wt.loss + strata(sex), lung, dist = "gaussian", model = TRUE)
  },
  rows = survreg_patients,
  expect = list(
    response = survreg_type("response"), lp = survreg_type("lp"), terms = survreg_type("terms"),
    quantiles = survreg_quantiles(c(0.1, 0.9))
  )
)

case(
  "survreg-strata-not-kept",
  fit = function() {
    library(survival)
    survreg(Surv(time, status) ~ karno + strata(celltype), veteran, dist = "loglogistic")
  },
  rows = function() {
    rows <- survival::veteran[rep(1:137, 2), c("karno", "celltype")]
    rows$karno[2:3] <- c(NA, Inf)
    rownames(rows) <- NULL
    rows
  },
  expect = list(response = survreg_type("response"), lp = survreg_type("lp"), terms = survreg_type("terms"))
)
