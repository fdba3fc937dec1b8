# Dates and times. Outside they are ISO 8601 text; inside, a column holds days or seconds since 1970 in UTC.

is_time <- function(value) inherits(value, c("Date", "POSIXct", "POSIXlt"))

# The zone of a POSIXct. One without a zone was local to a machine that the file does not name, so it is taken as UTC.
zone_of <- function(value) if (has_zone(value)) attr(value, "tzone")[1L] else "UTC"

has_zone <- function(value) {
  zone <- attr(value, "tzone")[1L]
  !is.null(zone) && !is.na(zone) && nzchar(zone)
}

iso_text <- function(value) {
  if (inherits(value, "Date")) return(format(value, "%Y-%m-%d"))
  value <- as.POSIXct(value)
  iso_datetime(as.double(value), zone_of(value))
}

# Times as text, to the microsecond, with the offset that the zone has at that time.
iso_datetime <- function(seconds, zone) {
  micro <- round((seconds - floor(seconds)) * 1e6)
  whole <- .POSIXct(floor(seconds) + (micro == 1e6), tz = zone)
  micro <- micro %% 1e6
  fraction <- ifelse(is.na(micro) | micro == 0, "", sub("0+$", "", sprintf(".%06.0f", micro)))
  offset <- sub("^[+]00:00$", "Z", sub("(..)$", ":\\1", format(whole, "%z")))
  text <- paste0(format(whole, "%Y-%m-%dT%H:%M:%S"), fraction, offset)
  text[is.na(seconds)] <- NA_character_
  text
}

# Text as times. Text without an offset is in the input's own zone.
days_from_iso <- function(text) {
  if (is.character(text)) text <- as.Date(text, format = "%Y-%m-%d")
  as.double(text)
}

seconds_from_iso <- function(text, zone) {
  if (!is.character(text)) return(as.double(text))
  pattern <- "^(\\d{4}-\\d\\d-\\d\\d)(?:[T ](\\d\\d:\\d\\d)(:\\d\\d)?([.]\\d+)?(Z|[+-]\\d\\d:?\\d\\d)?)?$"
  vapply(regmatches(text, regexec(pattern, text, perl = TRUE)), function(parts) {
    if (length(parts) == 0L) return(NA_real_)
    given <- function(k, otherwise) if (nzchar(parts[k])) parts[k] else otherwise
    offset <- given(6L, "")
    clock <- paste0(parts[2L], " ", given(3L, "00:00"), given(4L, ":00"))
    seconds <- as.double(as.POSIXct(clock, format = "%Y-%m-%d %H:%M:%S", tz = if (nzchar(offset)) "UTC" else zone))
    digits <- as.integer(strsplit(sub("Z", "+0000", sub(":", "", offset)), "")[[1L]][-1L])
    ahead <- if (length(digits) == 4L) sum(digits * c(36000, 3600, 600, 60)) else 0
    seconds + as.double(given(5L, "0")) - (if (startsWith(offset, "-")) -ahead else ahead)
  }, 0)
}

# Dates and times in formulas.

# format(x, "%m"), weekdays(x), x - as.Date("2024-01-01") and the like take a date or a time; so does I(x) if it kept
# one. as.numeric(x) tells nothing: it takes numbers, days or seconds, until a sidecar says more.
time_inside <- function(name, uses) {
  kept <- Find(function(use) {
    identical(use$expression, call("I", as.name(name))) && is_time(use$column)
  }, uses)
  if (!is.null(kept)) return(time_field(name, unasis(kept$column)))
  kinds <- kinds_of_time(name, uses)
  if (length(kinds) == 0L) return(NULL)
  # weekdays(x) takes a date as well as a time. As an input of times it takes both: a date is its midnight.
  if ("date" %in% kinds && !any(c("clock", "moment") %in% kinds)) return(field(name, "date"))
  field(name, "datetime", tz = "UTC")
}

unasis <- function(column) structure(column, class = setdiff(class(column), "AsIs"))

# The hour and the weekday of a time are those of a zone. Where a formula asks for them and no column tells the zone,
# the input is marked, for the analyst to be told.
marked_zone <- function(field, name, uses) {
  if (!identical(field$input$type, "datetime")) return(field)
  columns <- lapply(uses, function(use) if (name %in% all.names(use$expression)) use$column)
  told <- any(vapply(columns, function(column) inherits(column, "POSIXt") && has_zone(column), NA))
  field$input$zone_unknown <- if (!told && any(c("clock", "calendar") %in% kinds_of_time(name, uses))) TRUE
  field
}

kinds_of_time <- function(name, uses) unlist(lapply(uses, function(use) time_calls(name, use$expression)))

# What the calls in an expression take a variable for: "date", "moment" (a time in any zone), "clock" (the hour of a
# time, which depends on the zone), "calendar" (the day of a date or a time, which does too).
time_calls <- function(name, expression) {
  if (!is.call(expression)) return(NULL)
  parts <- as.list(expression)
  fun <- utils::tail(as.character(parts[[1L]]), 1L)
  parts <- parts[-1L]
  named <- vapply(parts, identical, NA, as.name(name))
  here <- if (any(named)) time_taken(fun, parts[!named])
  c(here, unlist(lapply(parts, time_calls, name = name)))
}

# What function `fun` takes beside its other arguments, as far as that can be seen.
time_taken <- function(fun, others) {
  texts <- unlist(Filter(is.character, others))
  kind <- if (fun %in% c("format", "strftime")) {
    time_formatted(texts)
  } else if (fun %in% names(time_functions)) {
    # as.Date(x, "%d.%m.%Y") takes text.
    if (!any(grepl("%", texts))) time_functions[[fun]]
  } else if (fun %in% c("trunc", "round", "cut")) {
    if (any(grepl(time_units, texts))) "calendar"
  } else if (fun %in% c("-", "<", ">", "<=", ">=", "==", "!=", "difftime")) {
    time_made(others)
  }
  # format(x, "%H", tz = "Europe/Vienna") is the same hour whatever the zone of x.
  states_zone <- any(c("tz", "tzone") %in% names(others))
  if (states_zone && !is.null(kind) && kind %in% c("clock", "calendar")) "moment" else kind
}

time_units <- "^(sec|min|hour|day|week|month|quarter|year)s?$"

time_formatted <- function(formats) {
  if (any(grepl("%[HIMSTRpXcrz]", formats))) return("clock")
  if (any(grepl("%s", formats))) return("moment")
  if (any(grepl("%", formats))) "calendar"
}

time_made <- function(expressions) {
  called <- unlist(lapply(expressions, called_functions))
  if (any(c("as.POSIXct", "ISOdate", "ISOdatetime") %in% called)) return("moment")
  if ("as.Date" %in% called) "date"
}

# What functions of base and of lubridate take for a date or a time. julian() is for dates alone: of a time it gives no
# number but a difftime.
time_functions <- c(
  as.POSIXct = "moment", as.POSIXlt = "clock", hour = "clock", minute = "clock", second = "clock", am = "clock",
  pm = "clock", with_tz = "moment", as_datetime = "moment", as.Date = "calendar", as_date = "calendar",
  weekdays = "calendar", months = "calendar", quarters = "calendar", julian = "date", year = "calendar",
  isoyear = "calendar", month = "calendar", day = "calendar", mday = "calendar", qday = "calendar", wday = "calendar",
  yday = "calendar", week = "calendar", isoweek = "calendar", epiweek = "calendar", quarter = "calendar",
  semester = "calendar", decimal_date = "calendar", floor_date = "calendar", round_date = "calendar",
  ceiling_date = "calendar"
)
