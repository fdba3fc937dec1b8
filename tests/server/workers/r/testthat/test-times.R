days <- as.Date("2024-01-15") + 0:59
berlin <- as.POSIXct("2024-03-30 20:30:15.25", tz = "Europe/Berlin") + (0:59)^2 * 3601

test_that("date and time columns are inputs, with the zone that they had", {
  frame <- data.frame(y = sin(1:60), day = days, time = berlin, n = cos(1:60))
  served <- opened(lm(y ~ day + time + n, frame))
  expect_identical(input_types(served), c("date", "datetime", "numeric"))
  expect_identical(served$description$inputs[[2]]$tz, "Europe/Berlin")
  example <- served$description$example
  expect_identical(example[1:2], list(day = "2024-01-15", time = "2024-03-30T20:30:15.25+01:00"))
  expect_identical(lapply(tandem$draw_rows(served$description, 3), `[`, 1), list(
    as.double(days[1]), as.double(berlin[1]), cos(1)
  ))
  frame <- with_missing(frame, c("day", "time", "n"))
  expect_scored(served, frame, "response", bare(predict(served$model, frame)))
  expect_identical(takes_missing(served), c(TRUE, TRUE, TRUE))
  expect_true(proof_of(served)$rowwise)
})

test_that("a call shows that its variable is a date or a time", {
  frame <- data.frame(y = sin(1:60), day = days, time = berlin, since = days, kept = days)
  expect_identical(tandem$time_calls("x", quote(months(x) + as.POSIXlt(x)$min + log(n))), c("calendar", "clock"))
  expect_null(tandem$time_calls("x", quote(as.Date(x, "%d.%m.%Y") + format(x))))
  formula <- y ~ factor(weekdays(day)) + format(time, "%p") + as.numeric(since - as.Date("2024-01-01"))
  served <- opened(lm(formula, frame))
  expect_identical(input_types(served), c("datetime", "datetime", "date"))
  inputs <- served$description$inputs
  frame$day <- as.POSIXct(frame$day)
  frame$time <- as.POSIXct(as.double(frame$time), origin = "1970-01-01", tz = "UTC")
  expect_scored(served, frame[1:20, ], "response", bare(predict(served$model, frame[1:20, ])))
  expect_identical(inputs[[2]]$tz, "UTC")
  served <- opened(lm(y ~ I(kept), frame))
  expect_identical(input_types(served), "date")
  expect_identical(served$description$example$kept, "2024-01-15")
  expect_scored(served, frame, "response", bare(predict(served$model, frame)))
})

test_that("weekdays of times are those of the zone that is stated, and take dates as well", {
  frame <- data.frame(y = sin(1:60), when = berlin)
  model <- lm(y ~ weekdays(when), frame)
  expect_identical(input_types(opened(model)), "datetime")
  stated <- list(list(name = "when", type = "datetime", tz = "Europe/Berlin", na = TRUE))
  served <- list(model = model, description = tandem$describe_model(model, inputs = stated))
  expect_scored(served, frame, "response", bare(predict(model, frame)))
  dated <- data.frame(y = sin(1:60), when = days)
  model <- lm(y ~ weekdays(when), dated)
  midnight <- data.frame(when = as.POSIXct(days))
  expect_scored(opened(model), midnight, "response", bare(predict(model, dated)))
})

test_that("a part of what a call makes of a time is no column of another frame", {
  frame <- data.frame(y = sin(1:60), when = as.POSIXct(as.double(berlin), origin = "1970-01-01", tz = "UTC"))
  served <- opened(lm(y ~ as.POSIXlt(when)$hour, frame))
  expect_identical(input_types(served), "datetime")
  expect_scored(served, frame, "response", bare(predict(served$model, frame)))
  other <- list(inner = frame)
  refused <- lm(other$inner$y ~ as.numeric(other$inner$when))
  expect_refused("no_schema", "cannot replace", tandem$describe_model(refused))
})

test_that("an input whose zone the file does not tell is marked where the formula depends on it", {
  unknown <- function(formula, when = berlin) {
    served <- opened(lm(formula, data.frame(y = sin(1:60), x = cos(1:60), when = when)))
    input <- Find(function(input) input$name == "when", served$description$inputs)
    identical(input$zone_unknown, TRUE)
  }
  expect_true(unknown(y ~ x + format(when, "%H")))
  expect_true(unknown(y ~ weekdays(when)))
  expect_true(unknown(y ~ as.POSIXlt(when)$hour))
  expect_true(unknown(y ~ x + I(as.numeric(format(when, "%M")) / 60)))
  expect_true(unknown(y ~ when + format(when, "%H"), .POSIXct(as.double(berlin))))
  expect_false(unknown(y ~ when, .POSIXct(as.double(berlin))))
  expect_false(unknown(y ~ when + format(when, "%H")))
  expect_false(unknown(y ~ format(when, "%H", tz = "Europe/Vienna")))
  expect_false(unknown(y ~ as.numeric(as.POSIXct(when))))
  expect_false(unknown(y ~ as.numeric(when - as.Date("2024-01-01")), days))
})

test_that("numbers of days pass for dates unless a sidecar states the date", {
  frame <- data.frame(y = sin(1:60), day = days)
  model <- lm(y ~ as.numeric(day), frame)
  expect_identical(input_types(opened(model)), "numeric")
  stated <- list(list(name = "day", type = "date", levels = NULL, na = TRUE))
  served <- list(model = model, description = tandem$describe_model(model, inputs = stated))
  expect_scored(served, frame, "response", bare(predict(model, frame)))
})

test_that("a column of another class is refused by name, as is a date whose class was not kept", {
  frame <- data.frame(y = sin(1:60), gap = days - days[1] + 1, day = days)
  expect_refused("no_schema", "'gap'.*difftime|'gap'.*other", tandem$describe_model(lm(y ~ gap, frame)))
  expect_refused("no_schema", "'day'.*sidecar", tandem$describe_model(lm(y ~ day, frame, model = FALSE)))
})

test_that("ISO 8601 text and seconds are the same both ways", {
  there <- function(text, zone = "UTC") tandem$iso_datetime(tandem$seconds_from_iso(text, zone), zone)
  expect_identical(there("2024-07-01T12:00:00Z"), "2024-07-01T12:00:00Z")
  expect_identical(there("2024-07-01T12:00:00Z", "Asia/Kolkata"), "2024-07-01T17:30:00+05:30")
  expect_identical(there("2024-07-01 12:00", "Europe/Berlin"), "2024-07-01T12:00:00+02:00")
  expect_identical(there("2024-07-01", "America/New_York"), "2024-07-01T00:00:00-04:00")
  expect_identical(there("2024-07-01T12:00:00-0330"), "2024-07-01T15:30:00Z")
  expect_identical(there("1969-12-31T23:59:59.999999Z"), "1969-12-31T23:59:59.999999Z")
  expect_identical(there("1969-12-31T23:59:59.100Z"), "1969-12-31T23:59:59.1Z")
  expect_identical(tandem$iso_datetime(c(0.9999999, NA), "UTC"), c("1970-01-01T00:00:01Z", NA))
  expect_identical(tandem$seconds_from_iso(c("nonsense", NA, "2024-07-01T"), "UTC"), c(NA_real_, NA_real_, NA_real_))
  expect_identical(tandem$seconds_from_iso(12.5, "UTC"), 12.5)
  expect_identical(tandem$iso_text(as.POSIXct("2024-01-01 05:00:00", tz = "UTC")), "2024-01-01T05:00:00Z")
  some <- as.double(berlin)
  expect_identical(tandem$seconds_from_iso(tandem$iso_datetime(some, "Europe/Berlin"), "UTC"), some)
})

test_that("rows are drawn for dates of which nothing is known", {
  inputs <- list(list(name = "d", type = "date", na = TRUE), list(name = "t", type = "datetime", na = TRUE, tz = "UTC"))
  model <- structure(list(), class = "times_only")
  registerS3method("predict", "times_only", function(object, newdata, ...) {
    stopifnot(inherits(newdata$d, "Date"), inherits(newdata$t, "POSIXct"))
    data.frame(month = months(newdata$d), t = newdata$t)
  }, asNamespace("stats"))
  description <- tandem$describe_model(model, inputs = inputs, example = list(d = "2023-05-06"))
  expect_identical(description$outputs$response, list(type = "columns", columns = c("month", "t"), of = "string"))
  expect_identical(tandem$draw_rows(description, 1)[[1]], as.double(as.Date("2023-05-06")))
  expect_true(proof_of(list(model = model, description = description))$rowwise)
})
