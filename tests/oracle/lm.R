# Numbers, factors, text, logicals, transformations, weights, offsets, no intercept, collinear columns.

lm_houses <- function(n = 300L) {
  set.seed(1)
  data.frame(
    area = round(rlnorm(n, 4.5, 0.5), 1),
    rooms = sample(1:8, n, TRUE),
    age = round(runif(n, 0, 120)),
    region = factor(sample(c("north", "south", "east"), n, TRUE, c(0.6, 0.38, 0.02)), c("north", "south", "east")),
    grade = factor(sample(c("C", "B", "A"), n, TRUE), c("C", "B", "A"), ordered = TRUE),
    heating = sample(c("gas", "\u00d6l", "wood"), n, TRUE),
    garden = sample(c(TRUE, FALSE), n, TRUE),
    `floor no.` = sample(0:5, n, TRUE),
    check.names = FALSE
  )
}

lm_sold <- function() {
  data <- lm_houses()
  data$price <- 50 + 3 * data$area + 10 * data$rooms - 0.2 * data$age + 20 * data$garden + rnorm(300, sd = 15)
  data
}

# Missing values one at a time and together, and numbers far outside of the data.
lm_rows <- function() {
  set.seed(2)
  rows <- lm_houses()
  for (k in seq_along(rows)) rows[k * 5 + 0:2, k] <- NA
  rows[60, ] <- NA
  rows$area[61:66] <- c(1e308, 1e-308, 4.9e-324, 1e15, 0.1 + 0.2, 123456789.123456789)
  rows$age[67:70] <- c(-1, 0, 1e300, -1e-300)
  rows
}

lm_infinite <- function() {
  rows <- lm_rows()
  rows$age[71:73] <- c(Inf, -Inf, NaN)
  rows
}

lm_response <- function(model, rows) predict(model, rows)
lm_se <- function(model, rows) {
  prediction <- predict(model, rows, se.fit = TRUE)
  data.frame(fit = prediction$fit, se = prediction$se.fit)
}
lm_confidence <- function(model, rows) predict(model, rows, interval = "confidence")
lm_prediction <- function(model, rows) predict(model, rows, interval = "prediction")
lm_terms <- function(model, rows) predict(model, rows, type = "terms")

case(
  "lm-mixed",
  fit = function() lm(price ~ ., lm_sold()),
  rows = lm_infinite,
  expect = list(
    response = lm_response, se = lm_se, confidence = lm_confidence, prediction = lm_prediction, terms = lm_terms
  )
)

case(
  "lm-level",
  fit = function() lm(price ~ area + region * garden, lm_sold()),
  rows = lm_rows,
  expect = list(
    confidence = function(model, rows) predict(model, rows, interval = "confidence", level = 0.8),
    prediction = function(model, rows) predict(model, rows, interval = "prediction", level = 0.8)
  ),
  options = list(level = 0.8)
)

case(
  "lm-transformed",
  fit = function() {
    lm(
      log(price) ~ poly(rooms, 2) + log1p(area) + sqrt(area) + I(age^2) + factor(rooms) + scale(age) +
        cut(age, c(-Inf, 50, Inf)),
      lm_sold()
    )
  },
  rows = function() {
    rows <- lm_rows()[c("area", "rooms", "age")]
    rows$rooms[6:8] <- 1L
    rows[c(-6:-22, -60), ]
  },
  expect = list(response = lm_response, se = lm_se, terms = lm_terms)
)

case(
  "lm-splines",
  fit = function() lm(price ~ splines::ns(area, 3) + splines::bs(age, knots = c(40, 80)), lm_sold()),
  rows = function() {
    set.seed(3)
    data.frame(area = c(0, 1e6, rlnorm(298, 4.5, 1)), age = c(0, 130, runif(298, -20, 150)))
  },
  expect = list(response = lm_response, se = lm_se, terms = lm_terms)
)

case(
  "lm-weighted-offset",
  fit = function() {
    data <- lm_sold()
    data$area[1:10] <- NA
    lm(
      price ~ rooms + region + offset(area), data, subset = age < 100, weights = age + 1, offset = log1p(rooms),
      na.action = na.exclude
    )
  },
  rows = lm_rows,
  expect = list(response = lm_response, se = lm_se, confidence = lm_confidence, terms = lm_terms)
)

case(
  "lm-nothing-kept",
  fit = function() lm(price ~ area + grade + heating, lm_sold(), model = FALSE, contrasts = list(grade = "contr.sum")),
  rows = lm_rows,
  expect = list(response = lm_response, se = lm_se, prediction = lm_prediction)
)

case(
  "lm-collinear",
  fit = function() {
    data <- lm_sold()
    data$twice <- 2 * data$area
    lm(price ~ area + twice + region + 0, data, x = TRUE, y = TRUE, model = FALSE)
  },
  rows = function() {
    rows <- lm_rows()
    rows$twice <- rev(rows$area)
    rows
  },
  expect = list(response = lm_response, se = lm_se, terms = lm_terms)
)

case(
  "lm-dates",
  fit = function() {
    data <- lm_sold()
    data$day <- as.Date("2020-02-28") + 1:300
    data$at <- as.POSIXct("2020-03-28 22:30:00", tz = "Europe/Berlin") + 3600.25 * 1:300
    lm(price ~ area + day + at + I(day > as.Date("2020-06-01")), data)
  },
  rows = function() {
    rows <- lm_rows()
    rows$day <- as.Date("2020-02-28") + 3 * 1:300
    rows$at <- as.POSIXct("2020-03-28 22:30:00", tz = "Europe/Berlin") + 1800.5 * 1:300
    rows$day[c(9, 70)] <- as.Date(c(NA, "1890-01-01"))
    rows$at[c(11, 71)] <- as.POSIXct(c(NA, "2037-10-25 02:30:00"), tz = "Europe/Berlin")
    rows
  },
  expect = list(response = lm_response, se = lm_se, confidence = lm_confidence, terms = lm_terms)
)
