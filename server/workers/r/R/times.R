# Dates and times. Outside they are ISO 8601 text; inside, a column holds days or seconds since 1970 in UTC.

is_time <- function(value) inherits(value, c("Date", "POSIXct", "POSIXlt"))

# The zone of a POSIXct. One without was local to a machine that the file does not tell of: taken as UTC.
zone_of <- function(value) {
  zone <- attr(value, "tzone")[1L]
  if (is.null(zone) || is.na(zone) || !nzchar(zone)) "UTC" else zone
}

iso_text <- function(value) {
  if (inherits(value, "Date")) return(format(value, "%Y-%m-%d"))
  value <- as.POSIXct(value)
  iso_datetime(as.double(value), zone_of(value))
}

# To the microsecond, with the offset that the zone has at that time.
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

# Back again. Text without an offset is in the input's own zone.
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

# In formulas

# format(x, "%m"), weekdays(x), x - as.Date("2024-01-01") and the like take a date or a time; so does I(x) if it kept
# one. as.numeric(x) tells nothing: it takes numbers, days or seconds, until a sidecar says more.
time_inside <- function(name, uses) {
  kept <- Find(function(use) {
    identical(use$expression, call("I", as.name(name))) && is_time(use$column)
  }, uses)
  if (!is.null(kept)) return(time_field(name, unasis(kept$column)))
  kinds <- unlist(lapply(uses, function(use) time_calls(name, use$expression)))
  if (length(kinds) == 0L) return(NULL)
  if ("datetime" %in% kinds) field(name, "datetime", tz = "UTC") else field(name, "date")
}

unasis <- function(column) structure(column, class = setdiff(class(column), "AsIs"))

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
  if (fun %in% c("format", "strftime")) return(time_formatted(texts))
  # as.Date(x, "%d.%m.%Y") takes text.
  if (fun %in% names(time_functions)) return(if (!any(grepl("%", texts))) time_functions[[fun]])
  if (fun %in% c("-", "<", ">", "<=", ">=", "==", "!=", "difftime")) time_made(others)
}

time_formatted <- function(formats) {
  if (any(grepl("%[HIMSTRpXcs]", formats))) return("datetime")
  if (any(grepl("%", formats))) "date"
}

time_made <- function(expressions) {
  called <- unlist(lapply(expressions, called_functions))
  if (any(c("as.POSIXct", "ISOdate", "ISOdatetime") %in% called)) return("datetime")
  if ("as.Date" %in% called) "date"
}

# Of base and of lubridate.
time_functions <- c(
  as.POSIXct = "datetime", as.POSIXlt = "datetime", hour = "datetime", minute = "datetime", second = "datetime",
  as.Date = "date", as_date = "date", weekdays = "date", months = "date", quarters = "date", julian = "date",
  year = "date", month = "date", day = "date", mday = "date", wday = "date", yday = "date", week = "date",
  isoweek = "date", quarter = "date"
)
