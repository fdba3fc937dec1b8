# forecast::ets. What is asked for is a number of steps ahead. For some of its models forecast() has no formula for the
# interval and simulates 5000 futures; here always the same ones, those after set.seed(1).

model_package.ets <- function(model) "forecast"

takes_horizon.ets <- function(model) TRUE

output_names.ets <- function(model) c("response", "interval")

# 5000 futures of more steps would fill the memory.
predict_options.ets <- function(model) {
  forecast_options(period = model$m, longest = if (is_simulated(model)) 1000L else 10000L)
}

predict_rows.ets <- function(model, newdata, output, arguments) {
  arguments$h <- nrow(newdata)
  if (output == "response" && is_simulated(model)) arguments$PI <- FALSE
  forecast_steps(model, output, arguments)
}

# Components are error, trend and season: N(one), A(dditive) or M(ultiplicative).
is_simulated <- function(model) {
  parts <- model$components
  additive <- parts[1L] %in% c("A", "M") && parts[2L] %in% c("A", "N") && parts[3L] %in% c("A", "N")
  !additive && !(parts[1L] == "M" && parts[2L] != "M" && parts[3L] == "M")
}
