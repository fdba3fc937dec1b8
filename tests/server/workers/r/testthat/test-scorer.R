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

test_that("dates and times come back as ISO 8601 text, and columns within columns get both names", {
  time <- as.POSIXct(c("2024-07-01 12:00:00", NA), tz = "Europe/Berlin") + 0.5
  both <- data.frame(day = as.Date(c("2024-02-29", NA)), size = factor(c("S", NA), c("S", "L"), ordered = TRUE))
  both$m <- cbind(u = c(1, 2), v = c(3, 4))
  shapes <- list(
    list(function(d) as.Date(c("2024-02-29", NA)), c("2024-02-29", NA), NULL, NULL),
    list(function(d) time, c("2024-07-01T12:00:00.5+02:00", NA), NULL, NULL),
    list(function(d) as.POSIXlt(time, "UTC"), c("2024-07-01T10:00:00.5Z", NA), NULL, NULL),
    list(function(d) factor(c("S", "L"), c("S", "L"), ordered = TRUE), c(1L, 2L), NULL, c("S", "L")),
    list(function(d) ts(d$x, start = 2000), c(1, 2), NULL, NULL),
    list(function(d) as.difftime(d$x, units = "days"), c(1, 2), NULL, NULL),
    list(
      function(d) both,
      list(c("2024-02-29", NA), c("S", NA), c(1, 2), c(3, 4)), c("day", "size", "m.u", "m.v"), NULL
    ),
    list(function(d) data.frame(p = d$x), list(c(1, 2)), "p", NULL),
    list(function(d) cbind(a = d$x, a = -d$x), list(c(1, 2), c(-1, -2)), c("a", "a.1"), NULL),
    list(function(d) matrix(c("p", "q"), 2), c("p", "q"), NULL, NULL),
    list(function(d) array(1:4, c(2, 1, 2), list(NULL, "y", c("one", "two"))), list(1:2, 3:4), c("one", "two"), NULL),
    list(function(d) array(1:2, c(2, 1, 1)), 1:2, NULL, NULL),
    list(function(d) Matrix::Matrix(c(1, 0), 2, sparse = TRUE), c(1, 0), NULL, NULL)
  )
  for (shape in shapes) expect_identical(scorer_for(shape[[1]])(list(c(1, 2)), "response")[1:3], shape[2:4])
  survival <- function(d) outer(exp(-d$x), c("0.5" = 0.5, "10" = 10), `^`)
  expect_identical(scorer_for(survival)(list(c(1, 2)), "response")[[2]], c("0.5", "10"))
})

test_that("what has no place in a reply is an error that says so", {
  whole <- structure(c(1, 2), class = "integer64")
  said <- function(value) scorer_for(function(newdata) value)(list(c(1, 2)), "response")[[5]]
  expect_match(said(whole), "64-bit integers.*as.double")
  expect_match(said(data.frame(a = I(list(1, 2)))), "returned a list")
  expect_match(said(c(1i, 2i)), "complex")
  expect_match(said(as.raw(1:2)), "raw")
  expect_match(said(NULL), "NULL")
  expect_match(said(data.frame(a = 1:2)[0]), "without columns")
  expect_match(said(sum), "builtin")
})

test_that("a reply of several columns tells the kind of each where they differ", {
  described <- function(f) tandem$describe_model(model_of(f), inputs = one_input)$outputs$response
  expect_identical(described(function(d) cbind(p = d$x, q = d$x))$of, "number")
  mixed <- described(function(d) data.frame(label = factor("a"), p = 1, ok = NA))
  expect_identical(mixed$of, c("string", "number", "logical"))
})

# As a class file of the server defines it.
method_of <- function(generic, class, f) assign(paste(generic, class, sep = "."), f, envir = tandem)

with_options_of <- function(f, options) {
  class <- "with_options"
  registerS3method("predict", class, function(object, newdata, ...) object$f(newdata, ...), asNamespace("stats"))
  method_of("predict_options", class, function(model) model$options)
  structure(list(f = f, options = options), class = class)
}

test_that("a request's option goes before the sidecar's argument, and that before the default", {
  model <- with_options_of(
    function(newdata, s, k, kind, more = "none") paste(typeof(s), s, typeof(k), k, kind, more),
    list(s = list(type = "numeric", default = 1), k = list(type = "integer", default = 5, minimum = 1), kind = list(
      type = "string", default = "a", values = c("a", "b")
    ), more = list(type = "string", default = NULL))
  )
  arguments <- list(s = 2L)
  scorer <- tandem$make_scorer(model, one_input, arguments)
  expect_identical(scorer(list(0), "response")[[1]], "double 2 integer 5 a none")
  expect_identical(scorer(list(0), "response", 1L, list(s = 3L, k = 7, more = "x"))[[1]], "double 3 integer 7 a x")
  expect_identical(scorer(list(0), "response")[[1]], "double 2 integer 5 a none")
  options <- tandem$describe_model(model, arguments, one_input)$options
  expect_identical(options$s, list(type = "numeric", default = 2, minimum = NULL, maximum = NULL, values = NULL))
  expect_identical(options$k$minimum, 1)
  expect_identical(options$kind$values, c("a", "b"))
  without <- tandem$describe_model(model_of(function(d) d$x), inputs = one_input)$options
  expect_identical(without, setNames(list(), character()))
})

test_that("a model that takes a horizon is asked for a number of steps", {
  method_of("predict_options", "ahead", function(model) list(h = list(type = "integer", default = 3)))
  method_of("takes_horizon", "ahead", function(model) TRUE)
  method_of("predict_rows", "ahead", function(model, newdata, output, arguments) {
    stopifnot(nrow(newdata) == arguments$h, length(newdata) == 0L)
    ts(model$last + seq_len(arguments$h))
  })
  model <- structure(list(last = 10), class = "ahead")
  description <- tandem$describe_model(model)
  expect_true(description$horizon)
  expect_identical(description$inputs, list())
  expect_length(description$example, 0)
  expect_identical(description$outputs, list(response = list(type = "number")))
  scorer <- tandem$make_scorer(model, list())
  expect_identical(scorer(list(), "response", 2L)[[1]], c(11, 12))
  expect_identical(scorer(list(), "response", options = list(h = 1))[[1]], 11)
  expect_identical(scorer(list(), "response", 2, list(h = 2L))[[1]], c(11, 12))
  expect_identical(scorer(list(), "response")[[1]], c(11, 12, 13))
  proof <- tandem$prove_rowwise(scorer, description)
  expect_false(proof$rowwise)
  expect_match(proof$reason, "horizon")
})

test_that("the data frame is the one that data.frame would make", {
  inputs <- c(one_input, list(list(name = "f", type = "ordered", levels = c("a", "b"), na = TRUE)))
  frame <- tandem$frame_maker(inputs)(list(c(1, NA), c(2L, NA)), 2L)
  expect_identical(frame, data.frame(x = c(1, NA), f = factor(c("b", NA), c("a", "b"), ordered = TRUE)))
  inputs <- list(list(name = "d", type = "date"), list(name = "t", type = "datetime", tz = "Europe/Berlin"))
  expect_identical(tandem$frame_maker(inputs)(list(c(19723, NA), c(0.5, NA)), 2L), data.frame(
    d = as.Date(c("2024-01-01", NA)), t = as.POSIXct(c(0.5, NA), origin = "1970-01-01", tz = "Europe/Berlin")
  ))
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

test_that("a model that answers one row but not two is refused", {
  prove <- function(f) {
    outputs <- list(response = list(type = "number"))
    description <- list(inputs = one_input, outputs = outputs, default_output = "response")
    proof_of(list(model = model_of(f), description = description))
  }
  one_only <- function(newdata) if (nrow(newdata) > 1) stop("one at a time") else newdata$x
  expect_error(prove(one_only), "answers one row but not two: one at a time", class = "tandem_error")
  expect_error(prove(function(newdata) 1), "answers one row but not two: predict.* returned 1 predictions for 2 rows")
})

# A model that answers numbers and, in its own way, another output; with the calls that its proof took, by output.
proof_of_two <- function(other, outputs = c("response", "other")) {
  class <- "of_two_outputs"
  method_of("output_names", class, function(model) model$outputs)
  method_of("predict_rows", class, function(model, newdata, output, arguments) {
    if (output == "response") newdata$x else model$other(newdata)
  })
  model <- structure(list(outputs = outputs, other = other), class = class)
  description <- tandem$describe_model(model, inputs = one_input)
  scorer <- tandem$make_scorer(model, one_input)
  asked <- list()
  proof <- tandem$prove_rowwise(function(columns, output, rows) {
    asked[[output]] <<- c(asked[[output]], rows)
    scorer(columns, output, rows)
  }, description)
  c(proof, list(asked = asked, sample = tandem$sample_with_missing(description)$columns[[1]]))
}

test_that("every output is proven, in few calls", {
  found <- proof_of_two(function(newdata) newdata$x + 1)
  expect_true(found$rowwise)
  expect_identical(found$rows, 32L)
  expect_identical(sum(found$asked$response == 1), 32L)
  expect_identical(sum(found$asked$other == 1), 6L)
  expect_gt(max(found$asked$other), 1000)
  expect_lte(length(unlist(found$asked)), 60)
  differs <- "output other of .* differs"
  expect_match(proof_of_two(function(newdata) newdata$x - mean(newdata$x, na.rm = TRUE))$reason, differs)
  alone_otherwise <- function(newdata) if (nrow(newdata) == 1L) newdata$x * (1 + .Machine$double.eps) else newdata$x
  expect_match(proof_of_two(alone_otherwise)$reason, differs)
  many_otherwise <- function(newdata) if (nrow(newdata) > 500L) newdata$x * (1 + .Machine$double.eps) else newdata$x
  expect_match(proof_of_two(many_otherwise)$reason, differs)
  dropping <- function(newdata) if (nrow(newdata) == 1L) newdata$x else cbind(a = newdata$x, b = 0)
  expect_match(proof_of_two(dropping)$reason, "output other has other columns")
  pair <- function(newdata) cbind(a = newdata$x, b = rank(newdata$x))
  expect_match(proof_of_two(pair)$reason, differs)
})

test_that("the output that tells most is asked for every row alone", {
  labels <- function(newdata) factor(ifelse(newdata$x > 1, "many", "few"), c("few", "many"))
  found <- proof_of_two(labels, c("other", "response"))
  expect_true(found$rowwise)
  expect_identical(sum(found$asked$response == 1), 32L)
  expect_identical(sum(found$asked$other == 1), 6L)
})

test_that("a row that one output cannot answer is left out of the sample, and chance in a late row is seen", {
  sample <- proof_of_two(function(newdata) newdata$x)$sample
  late <- setdiff(sample, sample[1:6])[1]
  found <- proof_of_two(function(newdata) if (late %in% newdata$x) stop("not this one") else newdata$x)
  expect_true(found$rowwise)
  expect_identical(found$rows, sum(!sample %in% late))
  drawing <- function(newdata) newdata$x + if (late %in% newdata$x) 0 * runif(1) else 0
  expect_identical(proof_of_two(drawing)$reason, "predict() draws random numbers")
})

test_that("ties decided by chance are no row-wise answer where the sample has them", {
  described <- function(f) {
    model <- model_of(f)
    proof_of(list(model = model, description = tandem$describe_model(model, inputs = one_input)))
  }
  expect_match(described(function(newdata) max.col(cbind(newdata$x, 1)))$reason, "random numbers")
  expect_true(described(function(newdata) max.col(cbind(newdata$x, 1), "first"))$rowwise)
  own_seed <- described(function(newdata) {
    set.seed(1)
    newdata$x + rnorm(nrow(newdata))
  })
  expect_false(own_seed$rowwise)
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

# A scorer that computes for so long for an output.
costly <- function(seconds) {
  function(columns, output, rows, options = NULL) {
    error <- tryCatch({
      spent <- tandem$stopwatch()
      while (spent() < seconds[[output]]) NULL
      NULL
    }, error = conditionMessage)
    list(if (is.null(error)) columns[[1L]], NULL, NULL, character(), error)
  }
}

test_that("an output that costs too much to be proven is left out with a reason, and the default never", {
  description <- list(
    inputs = list(list(name = "x", type = "numeric", levels = NULL, na = FALSE)),
    horizon = FALSE, default_output = "response"
  )
  scorer <- costly(c(response = 1, interval = 1, se = 0, terms = 4, more = 4, link = 0))
  names <- c("response", "interval", "se", "terms", "more", "link")
  observed <- tandem$observe_outputs(scorer, description, names, budget_s = 4)
  outputs <- observed$outputs
  expect_identical(names(outputs), names)
  expect_identical(outputs[c("response", "se", "link")], list(
    response = list(type = "number"), se = list(type = "number"), link = list(type = "number")
  ))
  for (name in c("interval", "terms", "more")) {
    expect_true(outputs[[name]]$left_out)
    expect_match(outputs[[name]]$reason, "a row of it takes more than [0-9.]+ s")
  }
  expect_lt(observed$seconds[["terms"]], 3)
  none_left <- tandem$observe_outputs(scorer, description, c("response", "more", "link"), budget_s = 0)$outputs
  expect_match(none_left$link$reason, "no time was left")
  description[c("outputs", "seconds")] <- list(outputs, c(response = 0))
  asked <- character()
  proof <- tandem$prove_rowwise(function(columns, output, rows) {
    asked <<- union(asked, output)
    list(columns[[1L]], NULL, NULL, character(), NULL)
  }, description)
  expect_identical(asked, c("response", "se", "link"))
  expect_true(proof$rowwise)
})

test_that("a horizon's outputs are tried once, so they may cost the whole budget", {
  description <- list(inputs = list(), horizon = TRUE, options = list(h = list(default = 10L)))
  scorer <- function(...) costly(c(interval = 0.4))(list(1), "interval", 1L)
  observed <- tandem$observe_outputs(scorer, description, c("response", "interval"), budget_s = 2)
  expect_identical(observed$outputs$interval, list(type = "number"))
})

test_that("a slow model is proven on fewer rows, a very slow one not at all, but two rows it must answer", {
  description <- list(
    inputs = list(list(name = "x", type = "numeric", levels = NULL, na = FALSE)),
    outputs = list(response = list(type = "number")), default_output = "response"
  )
  calls <- 0
  answer <- function(columns, output, rows) {
    calls <<- calls + 1
    list(columns[[1L]], NULL, NULL, character(), if (rows > alone) "one row only")
  }
  proven <- function(seconds) {
    calls <<- 0
    description$seconds <- c(response = seconds)
    tandem$prove_rowwise(answer, description, budget_s = 0, patience_s = 20)
  }
  alone <- Inf
  expect_identical(proven(0.5)[1:2], list(rowwise = TRUE, rows = 10L))
  expect_lte(calls, tandem$calls_to_prove$default)
  expect_identical(proven(2)[1:2], list(rowwise = TRUE, rows = 4L))
  expect_lte(calls, tandem$calls_to_prove$short + 1)
  slowest <- proven(4)
  expect_false(slowest$rowwise)
  expect_match(slowest$reason, "a row takes 4.0 s: too slow")
  expect_identical(calls, 1)
  alone <- 1
  for (seconds in c(0.5, 2, 4)) expect_refused("predict_fails", "one row but not two: one row only", proven(seconds))
})

test_that("of thousands of inputs, those that may be missing are found in few calls", {
  asked <- 0
  bears <- function(open) {
    function(group) {
      asked <<- asked + 1
      all(group %in% open)
    }
  }
  expect_identical(tandem$may_miss(bears(1:4000), list(1:4000)), 1:4000)
  expect_identical(asked, 1)
  open <- setdiff(1:4000, c(7L, 2500L))
  expect_setequal(tandem$may_miss(bears(open), list(1:4000)), open)
  expect_lt(asked, 60)
  expect_null(tandem$may_miss(bears(open), list(1:4000), budget_s = 0))
  expect_identical(tandem$may_miss(bears(2L), 1:3), 2L)
})

test_that("a model of 2,000 columns is described without looking through all its terms for each", {
  names <- sprintf("x%04d", 1:2000)
  terms <- stats::terms(stats::reformulate(names, "y"))
  attr(terms, "dataClasses") <- stats::setNames(rep("numeric", 2001), c("y", names))
  model <- structure(list(terms = terms), class = "made_up")
  model$f <- function(newdata, ...) newdata$x0001
  looked <- 0
  variables_of <- tandem$variables_of
  assign("variables_of", function(expression) {
    looked <<- looked + 1
    variables_of(expression)
  }, tandem)
  on.exit(assign("variables_of", variables_of, tandem))
  description <- tandem$describe_model(model)
  expect_length(description$inputs, 2000L)
  expect_true(all(vapply(description$inputs, `[[`, NA, "na")))
  expect_lt(looked, 10000)
})
