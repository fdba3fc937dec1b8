# prophet: rows of dates, with the regressors, conditions and limits that the model was given. The bounds of its
# intervals are drawn by chance at each call, so that they are no output.

model_package.prophet <- function(model) "prophet"

make_ready.prophet <- function(model, packages) {
  if (is.null(model$history)) {
    stop(tandem_condition("not_a_model", paste(
      "the file holds a prophet that is not fitted; save what fit.prophet(m, df) returned"
    )))
  }
  make_ready.default(model, packages)
}

describe_inputs.prophet <- function(model) {
  seen <- model$history
  conditions <- unique(unlist(lapply(model$seasonalities, `[[`, "condition.name")))
  limits <- c(if (identical(model$growth, "logistic")) "cap", if (isTRUE(model$logistic.floor)) "floor")
  numbers <- c(limits, names(model$extra_regressors))
  fields <- c(
    list(dates_of_prophet(seen$ds)),
    lapply(numbers, function(name) field(name, "numeric", values = as.double(seen[[name]]))),
    lapply(conditions, function(name) field(name, "logical", values = as.logical(seen[[name]])))
  )
  list(
    inputs = lapply(fields, `[[`, "input"),
    values = stats::setNames(lapply(fields, `[[`, "values"), c("ds", numbers, conditions))
  )
}

# The model keeps dates as times at midnight.
dates_of_prophet <- function(ds) {
  if (all(as.double(ds) %% 86400 == 0)) return(time_field("ds", as.Date(ds, tz = "GMT")))
  time_field("ds", structure(ds, tzone = "GMT"))
}

output_names.prophet <- function(model) c("response", "components")

# predict() sorts its rows by date. Without samples it draws nothing, and says the same of all but the bounds.
predict_rows.prophet <- function(model, newdata, output, arguments) {
  model$uncertainty.samples <- 0
  answer <- function() call_predict(model, newdata, arguments)
  # Days off of a country are data of the package, which it looks for among what is attached.
  found <- if (is.null(model$country_holidays)) answer() else lent("generated_holidays", "prophet", answer())
  found <- found[order(order(newdata$ds)), ]
  if (output == "response") return(found$yhat)
  known <- c("ds", names(newdata), "yhat")
  found[!names(found) %in% known & !grepl("_(lower|upper)$", names(found))]
}
