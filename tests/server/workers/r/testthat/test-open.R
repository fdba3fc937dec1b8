test_that("every compression that saveRDS knows is read", {
  model <- lm(dist ~ speed, cars)
  for (compress in list(TRUE, FALSE, "bzip2", "xz")) {
    expect_s3_class(tandem$open_model(as_file(model, compress = compress)), "lm")
  }
})

test_that("a broken file is unreadable, and the reason names no path", {
  whole <- as_file(lm(dist ~ speed, cars))
  cut <- tempfile(fileext = ".rds")
  writeBin(readBin(whole, "raw", 300), cut)
  empty <- tempfile(fileext = ".rds")
  file.create(empty)
  text <- tempfile(fileext = ".rds")
  writeLines("speed,dist", text)
  expect_refused("unreadable", "truncated", tandem$open_model(cut))
  expect_refused("unreadable", "empty", tandem$open_model(empty))
  expect_refused("unreadable", "no .rds file", tandem$open_model(text))
  expect_refused("unreadable", "gone", tandem$open_model(tempfile()))
})

test_that("what is no model is refused by what it is", {
  for (thing in list(mtcars, 42, letters, NULL, list(a = 1), factor("a"), sum, function() 1)) {
    expect_refused("not_a_model", "saveRDS", tandem$open_model(as_file(thing)))
  }
})

test_that("a missing package is named with the command that installs it", {
  made_by <- function(class, call) structure(list(call = call), class = class)
  expect_refused("package_missing", "no installed package", {
    tandem$open_model(as_file(made_by("unheard_of", NULL)))
  })
  expect_refused("package_missing", "nosuchpkg is not installed: install it with apt-get install r-cran-nosuchpkg", {
    tandem$open_model(as_file(made_by("unheard_of", quote(nosuchpkg::fit(x)))))
  })
  expect_refused("package_missing", "nosuchpkg", tandem$open_model(as_file(lm(dist ~ speed, cars)), "nosuchpkg"))
  # Else predict.lm would answer, wrongly.
  expect_refused("package_missing", "survey is not installed", {
    skip_if(requireNamespace("survey", quietly = TRUE))
    tandem$open_model(as_file(made_by(c("svyglm", "glm", "lm"), NULL)))
  })
})

# In a process of its own: here other tests have loaded the package already.
test_that("the package of a class without adapter is found among the installed ones, loaded and not attached", {
  path <- as_file(MASS::lqs(dist ~ speed, cars))
  code <- paste0(
    "tandem <- new.env(); for (f in list.files('", file.path(root, "server", "workers", "r", "R"), "', '[.]R$', ",
    "full.names = TRUE)) sys.source(f, tandem); m <- tandem$open_model('", path, "'); ",
    "d <- tandem$describe_model(m); p <- tandem$make_scorer(m, d$inputs)(list(c(4, 10)), 'response')[[1]]; ",
    "cat(isNamespaceLoaded('MASS'), 'package:MASS' %in% search(), d$package, ",
    "identical(p, unname(predict(m, data.frame(speed = c(4, 10))))))"
  )
  said <- system2("Rscript", c("--vanilla", "-e", shQuote(code)), stdout = TRUE)
  expect_identical(said, "TRUE FALSE MASS TRUE")
})

test_that("no name is given to two things among the R files", {
  files <- list.files(file.path(root, "server", "workers", "r", "R"), "[.]R$", full.names = TRUE)
  defined <- lapply(files, function(file) {
    assigned <- Filter(function(code) is.call(code) && identical(code[[1]], as.name("<-")), as.list(parse(file)))
    vapply(assigned, function(code) as.character(code[[2]])[1], "")
  })
  expect_identical(unlist(defined)[duplicated(unlist(defined))], character())
})

test_that("attempt answers in values, never by an error", {
  expect_identical(tandem$attempt(sum, 1, 2), list(value = 3, code = NULL, message = NULL))
  expect_identical(tandem$attempt(tandem$open_model, as_file(1))$code, "not_a_model")
  expect_identical(tandem$attempt(stop, "x")[c("code", "message")], list(code = "failed", message = "x"))
})

test_that("a package that starts a program while it is loaded is refused with a reason that says so, and the cure", {
  error <- tandem$unloadable("rstan", "cannot popen 'dpkg-architecture', probable reason 'Cannot allocate memory'")
  expect_identical(error$code, "package_missing")
  expect_match(conditionMessage(error), "starts a program .* sandbox forbids programs: .* TANDEM_SANDBOX=off")
  expect_no_match(conditionMessage(tandem$unloadable("rstan", "no such symbol")), "sandbox")
})

test_that("what starts a program while it is loaded is loaded beforehand, where it is there", {
  skip_if_not_installed("RcppParallel")
  tandem$load_starters()
  expect_true(isNamespaceLoaded("RcppParallel"))
})

test_that("what R warns of while it reads a file is told, and what it reads as nothing is refused", {
  name <- "warns_when_ready"
  assign(paste0("make_ready.", name), envir = tandem, function(model, packages) {
    warning("made by an older version")
    tandem$make_ready.default(lm(dist ~ speed, cars), packages)
  })
  on.exit(rm(list = paste0("make_ready.", name), envir = tandem))
  expect_identical(opened(structure(list(1), class = name))$description$warnings, "made by an older version")
  expect_identical(opened(lm(dist ~ speed, cars))$description$warnings, character())
  lost <- "cannot unserialize ALTVEC object of class 'Pointer' from package 'xgboost'; returning length zero vector"
  expect_identical(tandem$package_of_lost_part(lost), "xgboost")
  expect_null(tandem$package_of_lost_part("strings not representable in native encoding"))
  for (package in c("stats", "xgboost")) {
    told <- "another version of stats than the [0-9.]+ that is installed|^xgboost is not installed|xgb.save"
    expect_match(conditionMessage(tandem$part_lost(package)), told)
  }
})
