skip_if_not_installed("partykit")

test_that("a classification tree answers class and prob", {
  served <- opened(partykit::ctree(Species ~ ., iris))
  expect_identical(served$description$package, "partykit")
  expect_identical(names(served$description$outputs), c("class", "prob"))
  for (type in c("class", "prob")) {
    expected <- predict(served$model, iris, type = if (type == "class") "response" else type)
    expect_scored(served, iris, type, bare(expected))
  }
  expect_true(proof_of(served)$rowwise)
})

test_that("where predict() draws lots, the likeliest way is taken and no random number is drawn", {
  data <- subset(airquality, !is.na(Ozone))
  served <- opened(partykit::ctree(Ozone ~ ., data))
  surely <- partykit::ctree(Ozone ~ ., data, control = partykit::ctree_control(majority = TRUE))
  expect_identical(unique(takes_missing(served)), TRUE)
  frame <- with_missing(airquality[1:40, -1], names(airquality)[-1])
  frame$Temp[6:10] <- NA
  set.seed(1)
  before <- .Random.seed
  expect_scored(served, frame, "response", bare(predict(surely, frame)))
  set.seed(1)
  scorer_of(served)(as_columns(frame, served$description$inputs), "response")
  expect_identical(.Random.seed, before)
  expect_true(proof_of(served)$rowwise)
})

test_that("with a transformed variable a missing value gives NA, since predict() leaves it out", {
  served <- opened(partykit::ctree(mpg ~ log(wt) + hp, mtcars))
  expect_identical(input_names(served), c("wt", "hp"))
  expected <- bare(predict(served$model, mtcars))
  expected[1] <- NA
  expect_scored(served, with_missing(mtcars, "wt"), "response", expected)
})

test_that("an rpart as party", {
  skip_if_not_installed("rpart")
  served <- opened(partykit::as.party(rpart::rpart(Species ~ ., iris)))
  expect_scored(served, iris, "class", bare(predict(served$model, iris)))
})
