test_that("a binomial glm answers probabilities by default, and the link", {
  served <- opened(glm(am ~ wt + hp, binomial, mtcars))
  expect_identical(names(served$description$outputs), c("response", "link", "se", "terms"))
  expect_identical(served$description$default_output, "response")
  frame <- with_missing(mtcars, c("wt", "hp"))
  for (type in c("response", "link", "terms")) {
    expect_scored(served, frame, type, bare(predict(served$model, frame, type = type)))
  }
  expected <- predict(served$model, frame, type = "response", se.fit = TRUE)
  expect_scored(served, frame, "se", bare(cbind(fit = expected$fit, se = expected$se.fit)))
  expect_true(proof_of(served)$rowwise)
})

test_that("a poisson glm with an offset needs the offset's variable", {
  served <- opened(glm(carb ~ wt + offset(log(hp)), poisson, mtcars))
  expect_identical(input_names(served), c("wt", "hp"))
  expect_scored(served, mtcars, "response", bare(predict(served$model, mtcars, type = "response")))
})

test_that("arguments that Tandem sets itself are refused", {
  served <- opened(glm(am ~ wt, binomial, mtcars))
  reply <- scorer_of(served, list(type = "link"))(list(2.5), "response")
  expect_match(reply[[5]], "'type' is already set")
})
