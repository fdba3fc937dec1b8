skip_if_not_installed("lme4")

sleep_model <- function() lme4::lmer(Reaction ~ Days + (Days | Subject), lme4::sleepstudy)

test_that("a linear mixed model answers response, and NA for a missing value that is no group", {
  served <- opened(sleep_model())
  expect_identical(served$description$package, "lme4")
  expect_identical(names(served$description$outputs), "response")
  expect_identical(input_types(served), c("numeric", "factor"))
  expect_identical(takes_missing(served), c(TRUE, FALSE))
  frame <- with_missing(lme4::sleepstudy[1:30, ], "Days")
  expect_scored(served, frame, "response", bare(predict(served$model, frame)))
  expect_true(proof_of(served)$rowwise)
})

test_that("the random effects may be left out or named", {
  served <- opened(sleep_model())
  options <- served$description$options
  expect_identical(options$re.form$values, c("all", "none"))
  scorer <- scorer_of(served)
  frame <- lme4::sleepstudy[1:30, ]
  columns <- as_columns(frame, served$description$inputs)
  none <- scorer(columns, "response", options = list(re.form = "none"))
  expect_identical(none[[1]], bare(predict(served$model, frame, re.form = NA)))
  expected <- bare(predict(served$model, frame, re.form = ~ (1 | Subject)))
  expect_scored(served, frame, "response", expected, list(re.form = "~ (1 | Subject)"))
})

test_that("a new or missing group is predicted from the fixed effects if the model shall do so", {
  model <- tandem$open_model(as_file(sleep_model()))
  arguments <- list(allow.new.levels = TRUE)
  served <- list(model = model, description = tandem$describe_model(model, arguments))
  expect_identical(takes_missing(served), c(TRUE, TRUE))
  frame <- transform(lme4::sleepstudy[1:30, ], Subject = as.character(Subject))
  frame$Subject[c(3, 7)] <- c("new", NA)
  expected <- bare(predict(model, frame, allow.new.levels = TRUE))
  expect_identical(expected[3], bare(predict(model, frame[3, ], re.form = NA)))
  expect_scored(served, frame, "response", expected, arguments)
})

test_that("a group told by numbers or text, one within the other", {
  data <- transform(lme4::Pastes, batch = as.numeric(batch) * 10, cask = as.character(cask))
  served <- opened(lme4::lmer(strength ~ 1 + (1 | batch / cask), data))
  expect_identical(input_types(served), c("numeric", "factor"))
  expect_identical(served$description$inputs[[2]]$levels, c("a", "b", "c"))
  expect_scored(served, data, "response", bare(predict(served$model, data)))
})

test_that("a generalized one answers response and link, with an offset", {
  model <- lme4::glmer(incidence ~ period + offset(log(size)) + (1 | herd), lme4::cbpp, family = poisson)
  served <- opened(model)
  expect_identical(input_names(served), c("period", "size", "herd"))
  expect_identical(served$description$default_output, "response")
  for (type in c("response", "link")) {
    expect_scored(served, lme4::cbpp, type, bare(predict(served$model, lme4::cbpp, type = type)))
  }
})

test_that("a formula may use functions of a package that was attached", {
  library(splines)
  path <- as_file(lme4::lmer(Reaction ~ ns(Days, 2) + (1 | Subject), lme4::sleepstudy))
  detach("package:splines")
  model <- tandem$open_model(path)
  expect_null(tandem$describe_model(model)$outputs$response$reason)
})
