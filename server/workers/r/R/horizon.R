# What the classes of time series share: they are asked for a number of steps ahead.

# The options of forecast(), with its defaults: twice the season or 10 steps; a level in percent or, below 1, as a
# share.
forecast_options <- function(period, longest = 10000L) {
  steps <- if (period > 1) 2L * as.integer(period) else 10L
  list(
    h = list(type = "integer", default = steps, minimum = 1L, maximum = longest),
    level = list(type = "numeric", default = 95, minimum = 0, maximum = 99.99)
  )
}

# What package forecast says of a model of its own. Some intervals have no formula and are simulated: always with the
# same random numbers, those after set.seed(1).
forecast_steps <- function(model, output, arguments) {
  if (output == "response") arguments$level <- NULL
  before <- random_state()
  on.exit(restore_random_state(before))
  set.seed(1)
  steps_ahead(do.call(forecast::forecast, c(list(quote(model)), arguments)), output)
}

steps_ahead <- function(forecast, output) {
  fit <- as.vector(forecast$mean)
  if (output == "response") return(fit)
  cbind(fit = fit, lower = as.vector(forecast$lower), upper = as.vector(forecast$upper))
}

# The interval that forecast() makes of predict()'s list(pred, se).
normal_interval <- function(steps, level) {
  fit <- as.vector(steps$pred)
  width <- stats::qnorm(0.5 * (1 + in_percent(level) / 100)) * as.vector(steps$se)
  cbind(fit = fit, lower = fit - width, upper = fit + width)
}

in_percent <- function(level) if (level > 0 && level < 1) 100 * level else level
