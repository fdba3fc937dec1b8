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

tell <- "cat(code$traces_found(), names(code$traces_described()), sep = '; ')"

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
  said <- traces_after("options(digits = 3, shop.rate = 1.5)", "cat(unlist(code$traces_described()))")
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

put <- function(name, package, value) {
  steps <- "local({ p <- loadNamespace('%2$s'); unlockBinding('%1$s', p); assign('%1$s', %3$s, p) })"
  sprintf(steps, name, package, value)
}
closely <- "code$note_traces(closely = TRUE)"
tell_packages <- "cat(grep(' of the package ', names(code$traces_described()), value = TRUE), sep = '; ')"

test_that("what is put into a package's namespace is found and named, whether it was loaded before or not", {
  said <- traces_after(closely, put("sd", "stats", "function(x) 1"), tell_packages)
  expect_identical(said, "sd of the package stats")
  said <- traces_after(closely, put("bs", "splines", "function(x) 1"), tell_packages)
  expect_identical(said, "bs of the package splines")
  said <- traces_after(closely, put("lda", "MASS", "list(rate = 2)"), "cat(unlist(code$traces_described()))")
  expect_identical(said, "list(rate = 2)")
})

test_that("to load a package, to read it from the disk and to call it changes nothing of it", {
  calls <- c(
    "invisible(predict(MASS::lda(Species ~ ., iris), iris))",
    "invisible(lapply(c('stats', 'MASS', 'splines'), function(p) as.list(loadNamespace(p))))"
  )
  expect_identical(traces_after(closely, calls, tell_packages), character())
  more <- "for (k in 1:3) invisible(predict(mgcv::gam(mpg ~ s(hp), data = mtcars)))"
  expect_identical(traces_after(calls, more, closely, calls, more, tell_packages), character())
})

test_that("what packages hold is looked at where that was asked for, as it takes long", {
  expect_identical(traces_after("code$note_traces()", put("sd", "stats", "function(x) 1"), tell_packages), character())
})
