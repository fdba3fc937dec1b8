# Survival has the same time in every row, which predict() takes from the response's columns.

coxph_patients <- function() {
  rows <- survival::lung[, c("age", "sex", "ph.ecog", "ph.karno", "wt.loss", "inst")]
  rows$age[1:3] <- c(0, -1e4, 1e6)
  rows$age[c(10, 40)] <- NA
  rows[20, ] <- NA
  rownames(rows) <- NULL
  rows
}

coxph_strata <- function() {
  rows <- coxph_patients()
  rows$sex[is.na(rows$sex)] <- 1
  rows
}

coxph_veterans <- function() {
  rows <- survival::veteran[rep(1:137, 2), c("karno", "celltype", "trt", "prior")]
  rows$karno[5:6] <- c(NA, 1e3)
  rows$prior[9] <- NA
  rownames(rows) <- NULL
  rows
}

coxph_type <- function(type) {
  force(type)
  function(model, rows) predict(model, rows, type = type)
}

coxph_survival <- function(time) {
  force(time)
  function(model, rows) predict(model, transform(rows, time = time, status = 1), type = "survival")
}

case(
  "coxph-default",
  fit = function() survival::coxph(survival::Surv(time, status) ~ age + sex + ph.ecog, survival::lung),
  rows = coxph_patients,
  expect = list(risk = coxph_type("risk"), lp = coxph_type("lp"))
)

case(
  "coxph-kept",
  fit = function() {
    library(survival)
    coxph(Surv(time, status) ~ log(age) * ph.karno + splines::ns(wt.loss, 3), lung, model = TRUE, ties = "breslow")
  },
  rows = function() {
    rows <- coxph_patients()
    rows$age <- pmax(rows$age, 1)
    rows$wt.loss[is.na(rows$wt.loss)] <- 0
    rows
  },
  expect = list(
    risk = coxph_type("risk"), lp = coxph_type("lp"), terms = coxph_type("terms"), survival = coxph_survival(365)
  ),
  options = list(times = 365)
)

case(
  "coxph-strata",
  fit = function() {
    library(survival)
    coxph(Surv(time, status) ~ age + ph.ecog + strata(sex), lung, x = TRUE)
  },
  rows = coxph_strata,
  expect = list(
    risk = coxph_type("risk"), lp = coxph_type("lp"), terms = coxph_type("terms"), survival = coxph_survival(255.5)
  ),
  options = list(times = 255.5)
)

case(
  "coxph-strata-of-factors",
  fit = function() {
    library(survival)
    patients <- transform(veteran, trt = factor(trt, labels = c("standard", "test")), since = diagtime)
    coxph(Surv(time, status) ~ karno + prior + strata(celltype, trt), patients, weights = since, model = TRUE)
  },
  rows = function() transform(coxph_veterans(), trt = factor(trt, labels = c("standard", "test"))),
  expect = list(
    risk = coxph_type("risk"), lp = coxph_type("lp"), terms = coxph_type("terms"), survival = coxph_survival(100)
  ),
  options = list(times = 100)
)

case(
  "coxph-penal",
  fit = function() {
    library(survival)
    coxph(Surv(time, status) ~ pspline(karno, df = 3) + celltype + ridge(prior, theta = 1), veteran)
  },
  rows = function() {
    rows <- coxph_veterans()
    rows$karno[5:6] <- c(50, 99)
    rows
  },
  expect = list(risk = coxph_type("risk"), lp = coxph_type("lp"))
)

case(
  "coxph-frailty",
  fit = function() {
    library(survival)
    coxph(Surv(time, status) ~ age + sex + frailty(inst), lung)
  },
  rows = coxph_patients,
  expect = list(risk = coxph_type("risk"), lp = coxph_type("lp"))
)
