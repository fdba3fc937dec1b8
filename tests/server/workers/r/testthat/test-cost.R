levels_seen <- function() {
  before <- compiler::enableJIT(3L)
  on.exit(compiler::enableJIT(before))
  seen <- integer()
  watched <- function(newdata) {
    seen <<- c(seen, compiler::enableJIT(-1L))
    2 * newdata$x
  }
  inputs <- list(list(name = "x", type = "numeric", na = FALSE))
  description <- tandem$without_compiler("describe_model", watched, inputs = inputs, example = list(x = 1))
  described <- length(seen)
  scorer <- tandem$make_scorer(watched, description$inputs)
  tandem$without_compiler("prove_rowwise", scorer, description)
  list(describing = seen[seq_len(described)], proving = seen[-seq_len(described)], after = compiler::enableJIT(-1L))
}

test_that("what looks at a model is not compiled, and the model that it calls is, as ever", {
  inside <- NULL
  tandem$looks_once <- function() inside <<- compiler::enableJIT(-1L)
  on.exit(rm("looks_once", envir = tandem))
  tandem$without_compiler("looks_once")
  seen <- levels_seen()
  expect_identical(inside, 0L)
  expect_gt(length(seen$describing), 0L)
  expect_gt(length(seen$proving), 30L)
  expect_true(all(c(seen$describing, seen$proving, seen$after) == tandem$usual_level))
})

test_that("the compiler is back when looking at a model fails", {
  before <- compiler::enableJIT(-1L)
  tandem$looks_once <- function() stop("it fails")
  on.exit(rm("looks_once", envir = tandem))
  expect_error(tandem$without_compiler("looks_once"), "it fails")
  expect_identical(compiler::enableJIT(-1L), before)
})
