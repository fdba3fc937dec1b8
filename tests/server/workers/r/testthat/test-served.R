# A model of classes that were made up, of which each of `methods` gets a predict method: by name the function.
made_up <- function(classes, methods, model = list()) {
  for (name in names(methods)) registerS3method("predict", name, methods[[name]], asNamespace("graphics"))
  structure(model, class = classes)
}

x_input <- list(list(name = "x", type = "numeric", levels = NULL, na = TRUE))

described <- function(model, arguments = list()) {
  list(model = model, description = tandem$describe_model(model, arguments, inputs = x_input))
}

frame_of_x <- data.frame(x = c(1, 2.5, -3))

test_that("where predict() knows the type response, the output of that name is it, and the link is called link", {
  on_link <- function(object, newdata, type = c("link", "response", "terms")) {
    switch(match.arg(type), link = newdata$x, response = exp(newdata$x), stop("no terms"))
  }
  served <- described(made_up("served_link", list(served_link = on_link)))
  expect_identical(names(served$description$outputs), c("response", "link"))
  expect_scored(served, frame_of_x, "response", exp(frame_of_x$x))
  expect_scored(served, frame_of_x, "link", frame_of_x$x)
})

test_that("a type that the method names only where it compares is found too", {
  compared <- function(object, newdata, type = "link") if (type == "response") exp(newdata$x) else newdata$x
  served <- described(made_up("served_compared", list(served_compared = compared)))
  expect_identical(names(served$description$outputs), c("response", "link"))
  expect_scored(served, frame_of_x, "response", exp(frame_of_x$x))
})

test_that("where predict() knows no response, the outputs are called what its types are called", {
  classifier <- function(object, newdata, type = c("class", "prob", "nodes"), ...) {
    prob <- cbind(no = 0.5 + newdata$x / 10, yes = 0.5 - newdata$x / 10)
    switch(match.arg(type), class = factor(ifelse(prob[, 1] > 0.5, "no", "yes"), c("no", "yes")), prob = prob)
  }
  served <- described(made_up("served_classifier", list(served_classifier = classifier)))
  expect_identical(names(served$description$outputs), c("class", "prob"))
  expect_scored(served, frame_of_x, "class", c("no", "no", "yes"))
})

test_that("a method without types, or with types that say nothing, answers a response as it is", {
  plain <- described(made_up("served_plain", list(served_plain = function(object, newdata) newdata$x * 2)))
  odd <- function(object, newdata, type = c("none", "direct")) if (match.arg(type) == "none") newdata$x else 0
  odd <- described(made_up("served_odd", list(served_odd = odd)))
  expect_identical(names(plain$description$outputs), "response")
  expect_scored(odd, frame_of_x, "response", frame_of_x$x)
})

test_that("types are found behind an S4 method that hands all on, as VGAM's do", {
  predictserved <- function(object, newdata, type = c("link", "response")) {
    if (match.arg(type) == "link") newdata$x else exp(newdata$x)
  }
  methods::setClass("ServedS4", methods::representation(x = "numeric"), where = globalenv())
  methods::setMethod("predict", "ServedS4", function(object, ...) predictserved(object, ...), where = globalenv())
  on.exit({
    methods::removeMethod("predict", "ServedS4", where = globalenv())
    methods::removeClass("ServedS4", where = globalenv())
  })
  way <- tandem$predict_way(methods::new("ServedS4", x = 1))
  expect_identical(tandem$outputs_of_types(way$types), c("response", "link"))
})

test_that("a sidecar that sets the type says what the response is, but of the link it cannot say so", {
  typed <- function(object, newdata, type = c("link", "response", "double")) {
    switch(match.arg(type), link = newdata$x, response = exp(newdata$x), double = 2 * newdata$x)
  }
  model <- made_up("served_typed", list(served_typed = typed))
  for (type in c("double", "response")) {
    served <- described(model, list(type = type))
    expect_identical(names(served$description$outputs), "response")
    expect_scored(served, frame_of_x, "response", typed(model, frame_of_x, type), list(type = type))
  }
  served <- described(model, list(type = "link"))
  expect_identical(names(served$description$outputs), "link")
  expect_scored(served, frame_of_x, "link", frame_of_x$x, list(type = "link"))
})

test_that("rows go to an argument called newdata or new_data wherever it stands", {
  third <- function(object, task, newdata, ...) if (missing(task)) newdata$x else stop("rows are no task")
  after_dots <- function(object, ..., new_data = NULL, type = c("link", "response")) {
    if (match.arg(type) == "link") new_data$x else exp(new_data$x)
  }
  expect_scored(described(made_up("served_third", list(served_third = third))), frame_of_x, "response", frame_of_x$x)
  served <- described(made_up("served_dots", list(served_dots = after_dots)))
  expect_scored(served, frame_of_x, "response", exp(frame_of_x$x))
})

# As the server's own code asks: methods are found from where a generic is called.
asked <- function(generic, ...) do.call(generic, list(...), envir = tandem)

test_that("a class with a predict method of its own is not taken for the class that it inherits from", {
  own <- function(object, newdata, type = c("lp", "other")) switch(match.arg(type), lp = newdata$wt)
  for (known in list(c("glm", "lm"), "lm", "coxph", "rpart", c("gam", "glm", "lm"))) {
    heir <- paste0("served_heir_of_", known[1])
    model <- made_up(c(heir, known), stats::setNames(list(own), heir), unclass(lm(mpg ~ wt, mtcars)))
    expect_identical(asked("output_names", model), "lp")
    expect_identical(asked("predict_options", model), list())
    expect_identical(asked("predict_rows", model, mtcars, "lp", list()), mtcars$wt)
  }
})

test_that("a class without a predict method of its own, or of the same package, is what it inherits from", {
  heir <- structure(glm(am ~ wt, binomial, mtcars), class = c("served_mere_heir", "glm", "lm"))
  expect_identical(asked("output_names", heir)[1:2], c("response", "link"))
  registerS3method("predict", "served_cousin", stats::predict.glm, asNamespace("graphics"))
  cousin <- structure(heir, class = c("served_cousin", "glm", "lm"))
  expect_identical(asked("output_names", cousin)[1:2], c("response", "link"))
})

test_that("an answer that holds the values somewhere is refused with a function that takes them out", {
  nested <- function(object, newdata) structure(list(data = data.frame(id = 1, response = newdata$x)), class = "Held")
  served <- described(made_up("served_nested", list(served_nested = nested)))
  reason <- served$description$outputs$response$reason
  expect_match(reason, "an object of class Held", fixed = TRUE)
  expect_match(reason, "predict(m, newdata = newdata)$data$response }", fixed = TRUE)
})

test_that("a variable whose class neither terms nor model tell is not taken for a number, but drafted", {
  registerS3method("predict", "of_unknown", function(object, newdata, ...) nchar(newdata$kind), envir = globalenv())
  bare_terms <- structure(list(terms = stats::terms(y ~ kind + log(x))), class = "of_unknown")
  expect_null(asked("describe_inputs", bare_terms))
  drafted <- tandem$draft_inputs(structure(list(formula = y ~ kind + log(x)), class = "of_unknown"))
  expect_identical(vapply(drafted, `[[`, "", "name"), c("kind", "x"))
  with_levels <- c(unclass(bare_terms), list(xlevels = list(kind = c("a", "b"))))
  expect_length(asked("describe_inputs", structure(with_levels, class = "of_unknown"))$inputs, 2L)
})

test_that("VGAM's models answer a response that is no link, and know the levels of their factors", {
  skip_if_not_installed("VGAM")
  data <- data.frame(x = sin(1:60), k = factor(rep(c("a", "b", "c"), 20)), n = rep(0:5, 10))
  served <- opened(VGAM::vglm(n ~ x + k, VGAM::poissonff, data))
  expect_identical(served$description$inputs[[2]]$levels, c("a", "b", "c"))
  for (type in c("response", "link")) {
    expect_scored(served, data[1:9, ], type, bare(VGAM::predict(served$model, data[1:9, ], type = type)))
  }
})
