test_that("scaled, polynomial and spline terms take the raw column, also with missing values between others", {
  frame <- data.frame(y = sin(1:50), a = rnorm(50, 100, 20), b = rexp(50), c = runif(50), d = runif(50))
  served <- opened(lm(y ~ scale(a) + poly(b, 3) + splines::ns(c, 3) + splines::bs(d, df = 4), frame))
  expect_identical(input_names(served), c("a", "b", "c", "d"))
  expect_equal(served$description$example$a, frame$a[1])
  columns <- as_columns(with_missing(frame, c("a", "b", "c", "d")), served$description$inputs)
  expected <- predict(served$model, with_missing(frame, c("a", "b", "c", "d")))
  expect_identical(scorer_of(served)(columns, "response")[[1]], unname(expected))
  expect_scored(served, frame[1:10, ], "response", bare(predict(served$model, frame[1:10, ])))
  expect_true(proof_of(served)$rowwise)
})

test_that("a whole-number column stays numeric, as the formula took it", {
  served <- opened(lm(y ~ n, data.frame(y = sin(1:20), n = 1:20)))
  expect_identical(input_types(served), "numeric")
})

test_that("a number that becomes a factor tells which it may be, and any other is the caller's fault", {
  served <- opened(lm(mpg ~ factor(cyl) + gear + as.factor(gear) + factor(carb > 1), mtcars))
  inputs <- served$description$inputs
  expect_identical(lapply(inputs, `[[`, "allowed"), list(c(4, 6, 8), c(3, 4, 5), NULL))
  reply <- scorer_of(served)(list(5, 3, 1), "response")
  expect_identical(reply[[5]], c("factor factor(cyl) has new level 5", "input"))
  frame <- data.frame(y = sin(1:20), t = rep(c("a", "b"), 10), f = factor(rep(c("a", "b"), each = 10)))
  served <- opened(lm(y ~ t + f, frame))
  expect_identical(served$description$inputs[[1]]$levels, c("a", "b"))
  expect_identical(scorer_of(served)(list(c("c", "d"), c(1L, 1L)), "response")[[5]][2], "input")
})

odd_frame <- function() {
  frame <- data.frame(y = sin(1:40), a = cos(1:40), b = rep(c("\u00e4", "\u4e2d", "z"), length.out = 40), c = 1:40 %% 7)
  names(frame) <- c("y", "Gr\u00f6\u00dfe in m\u00b2", "\u00e9t\u00e9", "if")
  frame[[3]] <- factor(frame[[3]], c("z", "\u4e2d", "\u00e4"))
  frame
}

test_that("names that need backticks and names and levels beyond ASCII are kept", {
  frame <- odd_frame()
  names <- names(frame)[-1]
  for (formula in c("y ~ .", "y ~ log(`Gr\u00f6\u00dfe in m\u00b2` + 2) + \u00e9t\u00e9 * `if`")) {
    served <- opened(lm(as.formula(formula), frame))
    expect_identical(input_names(served), names)
    expect_identical(served$description$inputs[[2]]$levels, c("z", "\u4e2d", "\u00e4"))
    expect_scored(served, frame, "response", bare(predict(served$model, frame)))
  }
})

test_that("they are kept in a process without a UTF-8 locale too, and come back marked as UTF-8", {
  skip_if(Sys.which("locale") == "" || !any(grepl("^(C|en_US)[.]utf-?8$", system("locale -a", TRUE), TRUE)))
  frame <- odd_frame()
  names(frame)[1] <- "x"
  names(frame)[3] <- "y"
  file <- as_file(rpart::rpart(y ~ ., frame, minsplit = 5))
  answer <- tempfile(fileext = ".rds")
  script <- tempfile(fileext = ".R")
  writeLines(c(
    sprintf("for (f in list.files('%s', '[.]R$', full.names = TRUE)) source(f)", file.path(root, "server/workers/r/R")),
    sprintf("model <- open_model('%s')", file),
    "description <- describe_model(model)",
    "reply <- make_scorer(model, description$inputs)(draw_rows(description, 20L), 'class')",
    "names <- vapply(description$inputs, `[[`, '', 'name')",
    "class <- description$outputs$class$levels",
    sprintf("saveRDS(list(names, Encoding(names), class, Encoding(class), reply), '%s')", answer)
  ), script)
  run <- system2(file.path(R.home("bin"), "Rscript"), script, env = "LC_ALL=C", stdout = TRUE, stderr = TRUE)
  found <- readRDS(answer)
  expect_identical(found[[1]], names(frame)[-3])
  expect_identical(found[[2]], c("unknown", "UTF-8", "unknown"))
  expect_identical(found[[3]], levels(frame$y))
  expect_identical(found[[4]], c("unknown", "UTF-8", "UTF-8"))
  expect_null(found[[5]][[5]])
  expect_identical(found[[5]][[3]], levels(frame$y))
})

test_that("text in Latin-1 is answered in UTF-8", {
  latin <- iconv("gr\u00fcn", "UTF-8", "latin1")
  frame <- data.frame(x = c(1:20, 31:50), y = factor(rep(c("rot", latin), each = 20), c("rot", latin)))
  served <- opened(rpart::rpart(y ~ x, frame))
  reply <- scorer_of(served)(list(40), "class")
  expect_identical(Encoding(reply[[3]]), c("unknown", "UTF-8"))
  expect_identical(served$description$outputs$class$levels, c("rot", "gr\u00fcn"))
})
