skip_if_not_installed("partykit")

leaves <- function() {
  set.seed(1)
  data <- data.frame(region = factor(sample(c("north", "south", "east"), 300, TRUE)), size = rlnorm(300))
  data$price <- 100 * data$size * (1 + as.integer(data$region)) + rnorm(300)
  data$dear <- factor(rbinom(300, 1, plogis(data$size - as.integer(data$region))))
  data
}

test_that("the factor that partitions keeps its levels", {
  served <- opened(partykit::lmtree(price ~ size | region, data = leaves()))
  expect_identical(input_names(served), c("size", "region"))
  expect_identical(served$description$inputs[[2]]$levels, c("east", "north", "south"))
  expect_scored(served, leaves()[1:30, ], "response", bare(predict(served$model, leaves()[1:30, ])))
})

test_that("where a row may go several ways it goes the likeliest, without drawing lots", {
  served <- opened(partykit::lmtree(price ~ size | region, data = leaves()))
  expect_true(proof_of(served)$rowwise)
  frame <- with_missing(leaves()[1:20, ], "region")
  replies <- lapply(1:5, function(k) scorer_of(served)(as_columns(frame, served$description$inputs), "response")[[1]])
  expect_length(unique(replies), 1)
  expect_false(anyNA(replies[[1]]))
})

test_that("a generalized one answers response and link", {
  served <- opened(partykit::glmtree(dear ~ size | region, data = leaves(), family = binomial))
  for (type in c("response", "link")) {
    expect_scored(served, leaves()[1:9, ], type, bare(predict(served$model, leaves()[1:9, ], type = type)))
  }
})
