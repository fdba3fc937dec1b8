skip_if_not_installed("mgcv")

mixed <- function() {
  n <- 120
  frame <- data.frame(x = sin(1:n), z = cos(1:n * 2), f = factor(letters[1:n %% 3 + 1]), yes = 1:n %% 5 < 2)
  frame$text <- c("u", "v")[1:n %% 2 + 1]
  frame$y <- frame$x^2 + as.integer(frame$f) + frame$yes + sin(5 * 1:n)
  frame
}

test_that("a gam answers response, link, se and terms, and takes the raw variables of its smooths", {
  frame <- mixed()
  served <- opened(mgcv::gam(exp(y / 9) ~ f + text + yes + s(exp(x), k = 5) + s(z, by = f, k = 3), Gamma, frame))
  expect_identical(served$description$package, "mgcv")
  expect_setequal(input_names(served), c("f", "text", "yes", "x", "z"))
  expect_identical(sort(unique(input_types(served))), c("factor", "logical", "numeric", "string"))
  expect_identical(names(served$description$outputs), c("response", "link", "se", "terms"))
  frame <- with_missing(frame[1:30, ], c("x", "z", "f", "text", "yes"))
  for (type in c("response", "link")) {
    expect_scored(served, frame, type, bare(predict(served$model, frame, type = type)))
  }
  expect_scored(served, frame, "terms", bare(predict(served$model, frame, type = "terms")))
  both <- predict(served$model, frame, type = "response", se.fit = TRUE)
  expect_scored(served, frame, "se", bare(cbind(fit = both$fit, se = both$se.fit)))
  expect_true(proof_of(served)$rowwise)
})

test_that("a row of nothing but missing values has the columns of any other", {
  frame <- transform(mixed(), grade = as.integer(cut(y, 3)))
  served <- opened(mgcv::gam(grade ~ f + s(x, k = 4), family = mgcv::ocat(R = 3), data = frame))
  scorer <- scorer_of(served)
  for (output in c("response", "se", "terms")) {
    whole <- scorer(as_columns(frame[1:2, ], served$description$inputs), output)
    none <- scorer(list(NA_integer_, NA_real_), output)
    expect_identical(none[[2]], whole[[2]])
    expect_identical(unlist(none[[1]]), rep(NA_real_, length(whole[[2]])))
  }
  expect_identical(scorer(list(NA_integer_, NA_real_), "link")[[1]], NA_real_)
  expect_identical(whole[[2]], c("f", "s(x)"))
})

test_that("several linear predictors have several standard errors", {
  served <- opened(mgcv::gam(list(y ~ s(x, k = 4), ~z), family = mgcv::gaulss(), data = mixed()))
  expect_identical(served$description$outputs$se$columns, c("fit.1", "fit.2", "se.1", "se.2"))
})

test_that("a second response is no input, and a gam without inputs scores rows", {
  served <- opened(mgcv::gam(list(y ~ s(x, k = 4), z ~ f), family = mgcv::mvn(d = 2), data = mixed()))
  expect_identical(input_names(served), c("x", "f"))
  served <- opened(mgcv::gam(y ~ 1, data = mixed()))
  expect_identical(scorer_of(served)(list(), "response", 3L)[[1]], rep(unname(coef(served$model)), 3))
})

test_that("a Cox model of mgcv has no response", {
  served <- opened(mgcv::gam(exp(y) ~ s(x, k = 4), family = mgcv::cox.ph(), data = mixed(), weights = as.integer(yes)))
  expect_identical(names(served$description$outputs), c("link", "se", "terms"))
  expect_identical(served$description$outputs$link$type, "number")
})

test_that("a discrete bam answers as predict does, without touching R's random numbers", {
  served <- opened(mgcv::bam(y ~ f + s(x, k = 5), data = mixed(), discrete = TRUE))
  set.seed(2)
  before <- .Random.seed
  expect_scored(served, mixed()[1:20, ], "response", bare(predict(served$model, mixed()[1:20, ])))
  expect_identical(.Random.seed, before)
})
