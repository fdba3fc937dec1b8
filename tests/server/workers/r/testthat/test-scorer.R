one_input <- list(list(name = "x", type = "numeric", levels = NULL, na = TRUE))

# A model of a class of its own, whose predict is `f`.
model_of <- function(f) structure(list(f = f), class = "made_up")
registerS3method("predict", "made_up", function(object, newdata, ...) object$f(newdata, ...), asNamespace("stats"))

scorer_for <- function(f) tandem$make_scorer(model_of(f), one_input)

test_that("errors and warnings come back as values", {
  failing <- scorer_for(function(newdata) stop("no luck"))
  expect_identical(failing(list(1), "response"), list(NULL, NULL, NULL, character(), "no luck"))
  warning_twice <- scorer_for(function(newdata) {
    warning("careful")
    warning("careful")
    for (i in 1:50) warning("number ", i)
    message("hello")
    newdata$x
  })
  expect_silent(reply <- warning_twice(list(c(1, 2)), "response"))
  expect_identical(reply[[1]], c(1, 2))
  expect_length(reply[[4]], 20)
  expect_identical(reply[[4]][1:2], c("careful", "number 1"))
})

test_that("a prediction of another length is an error", {
  expect_match(scorer_for(function(newdata) 1:3)(list(c(1, 2)), "response")[[5]], "3 predictions for 2 rows")
  expect_match(scorer_for(function(newdata) diag(3))(list(c(1, 2)), "response")[[5]], "3 predictions for 2 rows")
  expect_match(scorer_for(function(newdata) list(1, 2))(list(c(1, 2)), "response")[[5]], "returned a list")
})

test_that("every shape of prediction is split", {
  shapes <- list(
    list(function(d) setNames(d$x > 1, d$x), c(FALSE, TRUE), NULL, NULL),
    list(function(d) factor(c("b", "a"), c("a", "b")), c(2L, 1L), NULL, c("a", "b")),
    list(function(d) c("b", "a"), c("b", "a"), NULL, NULL),
    list(function(d) matrix(d$x), c(1, 2), NULL, NULL),
    list(function(d) cbind(p = d$x, q = -d$x), list(c(1, 2), c(-1, -2)), c("p", "q"), NULL),
    list(function(d) data.frame(p = d$x, q = factor(c("u", "v"))), list(c(1, 2), c("u", "v")), c("p", "q"), NULL)
  )
  for (shape in shapes) expect_identical(scorer_for(shape[[1]])(list(c(1, 2)), "response")[1:3], shape[2:4])
})

test_that("the data frame is the one that data.frame would make", {
  inputs <- c(one_input, list(list(name = "f", type = "ordered", levels = c("a", "b"), na = TRUE)))
  frame <- tandem$frame_maker(inputs)(list(c(1, NA), c(2L, NA)), 2L)
  expect_identical(frame, data.frame(x = c(1, NA), f = factor(c("b", NA), c("a", "b"), ordered = TRUE)))
})

test_that("a model that looks at its neighbours or draws numbers is not row-wise", {
  describe <- function(f) {
    served <- list(model = model_of(f))
    served$description <- list(
      inputs = one_input, outputs = list(response = list(type = "number")), default_output = "response"
    )
    proof_of(served)
  }
  expect_true(describe(function(newdata) newdata$x)$rowwise)
  expect_match(describe(function(newdata) newdata$x - mean(newdata$x))$reason, "scored together differs")
  expect_match(describe(function(newdata) rank(newdata$x))$reason, "scored together differs")
  expect_match(describe(function(newdata) newdata$x + seq_along(newdata$x) * 1e-16)$reason, "scored together differs")
  expect_match(describe(function(newdata) runif(nrow(newdata)))$reason, "random")
  expect_match(describe(function(newdata) stop("never"))$reason, "failed on the sample rows: never")
  expect_match(describe(function(newdata) if (nrow(newdata) > 2) stop("many") else newdata$x)$reason, "together fail")
})

test_that("drawing and proving leave the random numbers alone, and the first row is the example", {
  served <- opened(lm(mpg ~ wt + cyl, transform(mtcars, cyl = factor(cyl))))
  set.seed(3)
  before <- .Random.seed
  rows <- tandem$draw_rows(served$description, 64)
  proof_of(served)
  expect_identical(.Random.seed, before)
  expect_identical(tandem$draw_rows(served$description, 64), rows)
  expect_identical(lapply(rows, `[`, 1), list(2.62, 2L))
  expect_gt(length(unique(rows[[1]])), 20)
})

test_that("a schema stated by a sidecar replaces the model's", {
  model <- model_of(function(newdata) newdata$x * 2)
  expect_null(tandem$describe_model(model)$inputs)
  description <- tandem$describe_model(model, inputs = one_input, example = list(x = 21))
  expect_identical(description$example, list(x = 21))
  expect_identical(description$outputs, list(response = list(type = "number")))
})

test_that("a sidecar that corrects one column keeps what is known of the others", {
  model <- lm(mpg ~ wt + hp, mtcars)
  inputs <- tandem$describe_model(model)$inputs
  inputs[[2]]$type <- "integer"
  description <- tandem$describe_model(model, inputs = inputs)
  expect_identical(description$example, list(wt = 2.62, hp = 1L))
  expect_identical(names(description$values), "wt")
})
