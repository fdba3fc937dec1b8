# A function of the rows, saved as it is: what it encloses goes with it, and a sidecar says what columns it takes.

schema_of_cars <- c(
  "schema:",
  "  inputs:",
  "    - {name: wt, type: numeric, na: true}",
  "    - {name: gear, type: factor, levels: [\"3\", \"4\", \"5\"], na: true}",
  "    - {name: manual, type: logical, na: true}",
  "    - {name: built, type: date, na: true}",
  "    - {name: maker, type: string, na: true}"
)

some_cars <- function() {
  n <- 240L
  rows <- data.frame(
    wt = seq(-1, 9, length.out = n), gear = factor(rep(3:5, length.out = n)), manual = rep(c(TRUE, FALSE), n / 2L),
    built = as.Date("1969-12-28") + seq(-300, by = 97, length.out = n), maker = rep(c("Škoda", "VW", ""), n / 3L)
  )
  rows$wt[c(3, 50, 51, 52)] <- c(NA, NaN, Inf, -0.0)
  rows$gear[60] <- NA
  rows$manual[61] <- NA
  rows$built[62] <- NA
  rows$maker[63] <- NA
  rows
}

case(
  "function-of-a-model",
  fit = function() {
    model <- lm(mpg ~ wt + gear, transform(mtcars, gear = factor(gear)))
    function(rows) stats::predict(model, rows) + ifelse(rows$manual, 0.1, 0) + as.numeric(rows$built) / 3e4
  },
  rows = some_cars,
  expect = list(response = function(model, rows) model(rows)),
  sidecar = schema_of_cars
)

case(
  "function-of-text",
  fit = function() {
    greeting <- "bon marché"
    function(rows) {
      factor(ifelse(rows$maker == "Škoda" & rows$wt < 4, greeting, "autre"), levels = c("autre", greeting))
    }
  },
  rows = some_cars,
  expect = list(response = function(model, rows) model(rows)),
  sidecar = schema_of_cars
)

case(
  "function-of-columns",
  fit = function() function(rows) data.frame(twice = rows$wt * 2, gears = as.integer(rows$gear), shout = rows$maker),
  rows = some_cars,
  expect = list(response = function(model, rows) model(rows)),
  sidecar = schema_of_cars
)
