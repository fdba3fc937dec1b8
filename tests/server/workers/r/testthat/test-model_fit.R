# parsnip is not in Debian: what it leaves is built by hand where it is not installed.
d <- data.frame(
  region = factor(rep(c("north", "south", "east"), 10)), rooms = rep(1:6, 5), size = exp(sin(1:30)), kind = c("a", "b")
)
d$price <- 100 * d$size + 10 * d$rooms
d$level <- factor(ifelse(d$price > 130, "high", "low"))

by_hand <- function(fit, preproc, offered, mode = "regression") {
  method <- list(libs = "stats", pred = stats::setNames(vector("list", length(offered)), offered))
  structure(
    list(fit = fit, preproc = preproc, lvl = NULL, spec = list(mode = mode, method = method)),
    class = c(paste0("_", class(fit)[1L]), "model_fit")
  )
}

# Where the package is not loaded, a method is found from inside.
inputs_of <- function(model) eval(quote(describe_inputs(model)), list(model = model), tandem)
outputs_of <- function(model) eval(quote(output_names(model)), list(model = model), tandem)

test_that("the inputs are those of parsnip's terms, else the engine's, and outputs what the engine can say", {
  terms <- stats::terms(stats::model.frame(price ~ region + log(size) + kind, d))
  levels <- list(region = levels(d$region), kind = c("a", "b"))
  with_terms <- by_hand(list(), list(terms = terms, xlevels = levels), c("numeric", "raw"))
  found <- inputs_of(with_terms)$inputs
  expect_identical(vapply(found, `[[`, "", "name"), c("region", "size", "kind"))
  expect_identical(vapply(found, `[[`, "", "type"), c("factor", "numeric", "string"))
  expect_identical(outputs_of(with_terms), "response")
  as_it_is <- by_hand(lm(price ~ region + rooms, d), list(y_var = "price"), c("numeric", "conf_int", "pred_int", "raw"))
  found <- inputs_of(as_it_is)$inputs
  expect_identical(vapply(found, `[[`, "", "name"), c("region", "rooms"))
  expect_identical(outputs_of(as_it_is), c("response", "conf_int", "pred_int"))
  classes <- by_hand(list(), list(), c("class", "prob", "raw"), "classification")
  expect_identical(outputs_of(classes), c("class", "prob"))
})

test_that("columns that the engine knows by other names are not guessed", {
  model <- by_hand(lm(price ~ rooms, d), list(x_var = c("rooms", "size")), "numeric")
  expect_null(inputs_of(model))
  expect_identical(vapply(tandem$draft_inputs(model), `[[`, "", "name"), c("rooms", "size"))
})

test_that("an engine that failed, and a package that is missing, are named", {
  failed <- by_hand(structure("no", class = "try-error"), list(), "numeric")
  expect_refused("not_a_model", "engine failed when it was fitted", opened(failed))
  skip_if(length(find.package("parsnip", quiet = TRUE)) > 0L, "parsnip is installed")
  model <- by_hand(lm(price ~ rooms, d), list(), "numeric")
  expect_refused("package_missing", "^parsnip is not installed: install it with install.packages", opened(model))
})

test_that("real fits of parsnip are answered as predict() does", {
  skip_if_not_installed("parsnip")
  served <- opened(parsnip::fit(parsnip::linear_reg(), price ~ region + rooms + splines::ns(size, 2), d))
  expect_scored(served, d[1:5, ], "response", predict(served$model, d[1:5, ])$.pred)
  bounds <- as.matrix(predict(served$model, d[1:5, ], type = "pred_int"))
  dimnames(bounds) <- list(NULL, c("lower", "upper"))
  expect_scored(served, d[1:5, ], "pred_int", bounds)
  trees <- parsnip::set_engine(parsnip::decision_tree("classification"), "rpart")
  served <- opened(parsnip::fit(trees, level ~ region + rooms, d))
  expect_scored(served, d[1:5, ], "class", as.character(predict(served$model, d[1:5, ])$.pred_class))
  prob <- as.matrix(predict(served$model, d[1:5, ], type = "prob"))
  dimnames(prob) <- list(NULL, c("high", "low"))
  expect_scored(served, d[1:5, ], "prob", prob)
})
