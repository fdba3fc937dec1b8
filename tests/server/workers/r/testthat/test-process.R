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
