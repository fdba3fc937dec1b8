test_that("a process gets a temporary folder of its own once its parent's is dropped", {
  script <- tempfile(fileext = ".R")
  file <- file.path(root, "server", "workers", "r", "R")
  own <- tempfile("own")
  dir.create(own)
  writeLines(c(
    sprintf("for (f in c('conditions.R', 'process.R')) source(file.path('%s', f))", file),
    sprintf("first <- attempt(new_tempdir, '%s')$code", own),
    "drop_tempdir()",
    sprintf("cat(first, dirname(new_tempdir('%s')), file.exists(tempdir()), dirname(dirname(tempfile())))", own)
  ), script)
  said <- system2(file.path(R.home("bin"), "Rscript"), script, stdout = TRUE)
  expect_identical(said, paste("failed", own, "TRUE", own))
})

test_that("beyond its limit of memory R signals an error that is known as such, and goes on", {
  script <- tempfile(fileext = ".R")
  file <- file.path(root, "server", "workers", "r", "R")
  writeLines(c(
    sprintf("for (f in c('conditions.R', 'process.R', 'scorer.R')) source(file.path('%s', f))", file),
    "limit_memory(50)",
    "blame <- with_blame(tryCatch(numeric(2e7), error = conditionMessage))",
    "cat(blame[2L], length(numeric(1e6)))"
  ), script)
  said <- system2(file.path(R.home("bin"), "Rscript"), script, stdout = TRUE)
  expect_identical(said, "memory 1000000")
})

test_that("other errors are not taken for a lack of memory", {
  expect_false(tandem$lacks_memory("object 'x' not found"))
  expect_true(tandem$lacks_memory("cannot allocate vector of size 3.7 Gb"))
  expect_true(tandem$lacks_memory("vector memory limit of 1.2 Gb reached, see mem.maxVSize()"))
})
