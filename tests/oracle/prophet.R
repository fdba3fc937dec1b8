# prophet: days and hours, a regressor, a season on a condition, holidays, growth to a limit. predict() sorts its rows
# by date; here each row has its own answer.

prophet_days <- function() {
  set.seed(1)
  day <- 0:399
  data.frame(
    ds = as.Date("2020-01-01") + day, y = 5 + sin(day / 20) + rnorm(400, 0, 0.1), promo = rbinom(400, 1, 0.3),
    open = day %% 7 < 5, cap = 12, floor = -3
  )
}

prophet_in_order <- function(found, rows) found[order(order(rows$ds)), ]

prophet_yhat <- function(model, rows) prophet_in_order(predict(model, rows), rows)$yhat

prophet_components <- function(model, rows) {
  found <- prophet_in_order(predict(model, rows), rows)
  given <- c("ds", "cap", "floor", "promo", "open", "yhat")
  as.matrix(found[!grepl("_(lower|upper)$", names(found)) & !names(found) %in% given])
}

prophet_fit <- function(...) suppressMessages(prophet::prophet(...))

case(
  "prophet-hours",
  fit = function() {
    hour <- 0:499
    data <- data.frame(ds = as.POSIXct("2020-01-01", tz = "GMT") + 3600 * hour, y = sin(hour / 24) + hour / 400)
    prophet_fit(data, uncertainty.samples = 10)
  },
  rows = function() {
    data.frame(ds = as.POSIXct("2020-01-20", tz = "GMT") + 1800 * c(210:1, 5000))
  },
  expect = list(response = prophet_yhat, components = prophet_components)
)

case(
  "prophet-everything",
  fit = function() {
    parties <- data.frame(
      holiday = "party", ds = as.Date(c("2020-02-24", "2020-12-31")), lower_window = 0, upper_window = 1
    )
    model <- prophet_fit(
      growth = "logistic", weekly.seasonality = FALSE, holidays = parties, fit = FALSE, uncertainty.samples = 10
    )
    model <- prophet::add_regressor(model, "promo")
    model <- prophet::add_seasonality(model, "week", 7, 3, condition.name = "open")
    suppressMessages(prophet::fit.prophet(model, prophet_days()))
  },
  rows = function() {
    rows <- prophet_days()[c(300:400, 1:120), c("ds", "cap", "floor", "promo", "open")]
    rows$ds[1:101] <- rows$ds[1:101] + 200
    rows
  },
  expect = list(response = prophet_yhat, components = prophet_components)
)
