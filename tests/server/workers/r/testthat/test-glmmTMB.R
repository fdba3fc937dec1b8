skip_if_not_installed("glmmTMB")

herds <- function() transform(lme4::cbpp, kind = rep(c("old", "new"), 28))

test_that("the response is no link, groups are inputs, and weights of the call are asked for", {
  model <- glmmTMB::glmmTMB(incidence ~ period + kind + (1 | herd), herds(), family = poisson, weights = size)
  served <- opened(model)
  expect_identical(input_names(served), c("period", "kind", "herd", "size"))
  expect_identical(names(served$description$outputs), c("response", "link"))
  for (type in c("response", "link")) {
    expect_scored(served, herds()[1:5, ], type, bare(predict(served$model, herds()[1:5, ], type = type)))
  }
})

test_that("inflation by zeros has outputs of its own, and new groups are taken on demand", {
  skip_if_not_installed("lme4")
  model <- glmmTMB::glmmTMB(incidence ~ period + (1 | herd), herds(), family = poisson, ziformula = ~1)
  served <- opened(model)
  expect_identical(names(served$description$outputs), c("response", "link", "conditional", "zprob"))
  frame <- herds()[1:3, ]
  expected <- bare(predict(model, frame, type = "response", re.form = NA))
  reply <- scorer_of(served)(as_columns(frame, served$description$inputs), "response", options = list(re.form = "none"))
  expect_identical(reply[[1]], expected)
})
