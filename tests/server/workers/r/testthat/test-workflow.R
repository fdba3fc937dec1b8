# parsnip and workflows are not in Debian: what is fitted here is built by hand, as they leave it, around a real
# blueprint of hardhat, with a predict method that goes their way.
skip_if_not_installed("hardhat")

d <- data.frame(
  region = factor(rep(c("north", "south", "east"), 10)), day = as.Date("2024-01-01") + 1:30, rooms = rep(1:6, 5),
  size = exp(sin(1:30))
)
d$price <- 100 * d$size + 10 * d$rooms
d$level <- factor(ifelse(d$price > 130, "high", "low"))

forged_frame <- function(object, new_data) {
  data.frame(hardhat::forge(new_data, blueprint = object$pre$mold$blueprint)$predictors)
}

predict_by_hand <- function(object, new_data, type = NULL, opts = list(), ...) {
  frame <- forged_frame(object, new_data)
  inner <- object$fit$fit$fit
  if (inherits(inner, "lm") && !inherits(inner, "glm")) {
    if (is.null(type)) return(data.frame(.pred = unname(predict(inner, frame))))
    found <- predict(inner, frame, interval = "confidence")
    return(data.frame(.pred_lower = found[, "lwr"], .pred_upper = found[, "upr"]))
  }
  low <- unname(predict(inner, frame, type = "response"))
  if (identical(type, "prob")) return(data.frame(.pred_high = 1 - low, .pred_low = low))
  data.frame(.pred_class = factor(ifelse(low > 0.5, "low", "high"), c("high", "low")))
}

workflow_of <- function(formula, inner, mode) {
  mold <- hardhat::mold(formula, d)
  fit <- structure(list(fit = inner, spec = list(mode = mode, method = list(libs = "stats"))), class = "model_fit")
  structure(
    list(pre = list(mold = mold, actions = list()), fit = list(fit = fit), trained = TRUE), class = "workflow"
  )
}

# The version that is told is hardhat's, since workflows may not be there.
described <- function(model) {
  package <- tandem$model_package.workflow
  on.exit(tandem$model_package.workflow <- package)
  tandem$model_package.workflow <- function(model) "hardhat"
  list(model = model, description = tandem$describe_model(model))
}

test_that("a workflow's inputs are those of its blueprint, and outputs are named without .pred_", {
  registerS3method("predict", "workflow", predict_by_hand, envir = globalenv())
  served <- described(workflow_of(price ~ day + rooms + size, lm(price ~ rooms + size, d), "regression"))
  expect_identical(input_names(served), c("day", "rooms", "size"))
  expect_identical(input_types(served), c("date", "numeric", "numeric"))
  expect_identical(names(served$description$outputs), c("response", "conf_int"))
  expect_identical(served$description$outputs$conf_int$columns, c("lower", "upper"))
  expect_scored(served, d[1:5, ], "response", predict_by_hand(served$model, d[1:5, ])$.pred)
})

test_that("a workflow of classes answers class and prob", {
  registerS3method("predict", "workflow", predict_by_hand, envir = globalenv())
  inner <- suppressWarnings(glm(level ~ rooms + size, binomial, d))
  served <- described(workflow_of(level ~ region + rooms + size, inner, "classification"))
  expect_identical(served$description$inputs[[1]]$levels, levels(d$region))
  expect_identical(served$description$outputs$class$levels, c("high", "low"))
  expect_identical(served$description$outputs$prob$columns, c("high", "low"))
  expected <- as.matrix(predict_by_hand(served$model, d[1:5, ], "prob"))
  dimnames(expected) <- list(NULL, c("high", "low"))
  expect_scored(served, d[1:5, ], "prob", expected)
})

test_that("a workflow needs its packages, and to be fitted", {
  model <- workflow_of(price ~ size, lm(price ~ size, d), "regression")
  skip_if(length(find.package("workflows", quiet = TRUE)) > 0L, "workflows is installed")
  expect_refused("package_missing", "workflows is not installed", tandem$open_model(as_file(model)))
  model$fit$fit <- NULL
  expect_refused("not_a_model", "save what fit\\(workflow, data\\) returned", tandem$open_model(as_file(model)))
})

test_that("a real workflow of parsnip is answered as predict() does", {
  skip_if_not_installed("parsnip")
  skip_if_not_installed("workflows")
  fit <- workflows::workflow(price ~ region + rooms + size, parsnip::linear_reg())
  served <- opened(parsnip::fit(fit, d))
  expect_identical(input_names(served), c("region", "rooms", "size"))
  expect_scored(served, d[1:5, ], "response", predict(served$model, d[1:5, ])$.pred)
})

test_that("a model of a package made with hardhat has the inputs of its blueprint, with levels and zones", {
  frame <- cbind(d, at = as.POSIXct("2024-01-01", tz = "Europe/Berlin") + 3600 * seq_len(30))
  mold <- hardhat::mold(frame[c("region", "rooms", "at")], frame$price)
  model <- hardhat::new_model(centre = 3, blueprint = mold$blueprint, class = "bridge_of_test")
  predict_bridge <- function(object, new_data, type = "numeric", ...) {
    hardhat::spruce_numeric(hardhat::forge(new_data, object$blueprint)$predictors$rooms * object$centre)
  }
  registerS3method("predict", "bridge_of_test", predict_bridge, envir = globalenv())
  served <- described(model)
  expect_identical(input_types(served), c("factor", "numeric", "datetime"))
  expect_identical(served$description$inputs[[3]]$tz, "Europe/Berlin")
  expect_scored(served, frame[1:4, ], "response", frame$rooms[1:4] * 3)
})
