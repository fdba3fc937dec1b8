# What note_traces() noted is found changed, and named. Each change is made in a process of its own.

traces_after <- function(...) {
  script <- tempfile(fileext = ".R")
  folder <- file.path(root, "server", "workers", "r", "R")
  writeLines(c(
    "code <- new.env()",
    sprintf("for (f in c('conditions.R', 'process.R', 'traces.R')) sys.source(file.path('%s', f), code)", folder),
    "set.seed(1)",
    "code$note_traces()",
    ...
  ), script)
  system2(file.path(R.home("bin"), "Rscript"), c("--vanilla", script), stdout = TRUE)
}

tell <- "cat(code$traces_found(), names(code$traces_told()), sep = '; ')"

test_that("where nothing has changed nothing is found, also after an option was set to what it was", {
  expect_identical(traces_after(tell), "0")
  expect_identical(traces_after("options(digits = getOption('digits'))", tell), "0")
})

test_that("options, the search path and global variables are found and named", {
  expect_identical(traces_after("options(digits = 3)", tell), "2; the option digits")
  expect_identical(traces_after("options(shop.rate = 1)", tell), "2; the option shop.rate")
  expect_identical(traces_after("library(splines)", tell), "2; the search path (package:splines)")
  expect_identical(traces_after("shop_rate <- 2", tell), "2; the global variable shop_rate")
  expect_identical(traces_after("detach('package:stats')", tell), "2; the search path (package:stats)")
})

test_that("only what is new has a text", {
  said <- traces_after("options(digits = 3, shop.rate = 1.5)", "cat(unlist(code$traces_told()))")
  expect_identical(said, "1.5")
})

test_that("random numbers that one model draws are its own", {
  said <- traces_after(
    "code$alone <- runif(1); set.seed(1); code$note_traces()",
    "RNGkind('Wichmann-Hill'); set.seed(5); code$first <- runif(1)",
    "cat(code$traces_found(), '')",
    "code$keep_random_state('a')",
    "cat(code$traces_found(), identical(runif(1), code$alone), '')",
    "code$take_random_state('a')",
    "code$second <- runif(1); set.seed(5, 'Wichmann-Hill')",
    "cat(identical(c(code$first, code$second), runif(2)))"
  )
  expect_identical(said, "1 0 TRUE TRUE")
})
