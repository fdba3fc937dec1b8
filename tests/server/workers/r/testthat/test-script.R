stated <- list(list(name = "x", type = "numeric", levels = NULL, na = TRUE))

script_of <- function(..., files = list()) {
  folder <- tempfile("script")
  dir.create(folder)
  writeLines(c(...), file.path(folder, "score.R"), useBytes = TRUE)
  for (name in names(files)) saveRDS(files[[name]], file.path(folder, name))
  file.path(folder, "score.R")
}

answers <- function(model, x) tandem$make_scorer(model, stated)(list(x), "response")

test_that("init() reads files of the script's folder, run() predicts", {
  path <- script_of(
    "fit <- NULL",
    "init <- function() fit <<- readRDS('fit.rds')",
    "run <- function(df) predict(fit, data.frame(speed = df$x))",
    files = list(fit.rds = lm(dist ~ speed, cars))
  )
  before <- getwd()
  model <- tandem$open_model(path)
  expect_identical(getwd(), before)
  expect_null(tandem$describe_model(model)$inputs)
  served <- list(model = model, description = tandem$describe_model(model, inputs = stated))
  expect_identical(served$description$class, "tandem_script")
  rows <- data.frame(x = c(4, 10, NA))
  expect_scored(served, rows, "response", bare(predict(lm(dist ~ speed, cars), data.frame(speed = rows$x))))
  expect_true(proof_of(served)$rowwise)
})

test_that("two scripts that use the global environment do not meet, nor do the packages that they attach", {
  assign("kept", "before", envir = globalenv())
  on.exit(rm(list = "kept", envir = globalenv()))
  write <- function(factor) {
    path <- script_of(
      "library(MASS)", "source('helper.R')", "kept <<- 'script'",
      "init <- function() { state <<- readRDS('state.rds'); assign('more', 1, envir = globalenv()) }",
      "run <- function(df) as.vector(fractions(helped(df$x))) + more"
    )
    writeLines("helped <- function(x) x * state * nchar(kept) / 6", file.path(dirname(path), "helper.R"))
    saveRDS(factor, file.path(dirname(path), "state.rds"))
    tandem$open_model(path)
  }
  found <- search()
  two <- write(2)
  three <- write(3)
  expect_identical(search(), found)
  expect_false(any(c("state", "helped", "more") %in% ls(globalenv())))
  expect_identical(get("kept", globalenv()), "before")
  expect_identical(answers(two, 5)[[1]], 11)
  expect_identical(answers(three, 5)[[1]], 16)
})

test_that("what is wrong with a script is said without its path", {
  expect_refused("not_a_model", "run\\(df\\)", tandem$open_model(script_of("init <- function() 1")))
  expect_refused("unreadable", "score.R:2", tandem$open_model(script_of("run <- function(df) {", "  )")))
  expect_refused("failed", "no luck", tandem$open_model(script_of("init <- function() stop('no luck')")))
  expect_refused("package_missing", "nosuchpkg", tandem$open_model(script_of("library(nosuchpkg)")))
  expect_refused("failed", "cannot open", suppressWarnings(tandem$open_model(script_of("readRDS('gone.rds')"))))
})

test_that("a failing script leaves nothing behind", {
  found <- search()
  expect_error(tandem$open_model(script_of("library(MASS)", "left <<- 1", "stop('x')")), class = "tandem_error")
  expect_identical(search(), found)
  expect_false(exists("left", globalenv()))
})

test_that("init() may be missing, arguments go to run(), and text is UTF-8", {
  model <- tandem$open_model(script_of("run <- function(df, by = 1) paste0('gr\u00fc\u00df', df$x * by)"))
  scorer <- tandem$make_scorer(model, stated, list(by = 2L))
  expect_identical(scorer(list(1), "response")[[1]], "gr\u00fc\u00df2")
})
