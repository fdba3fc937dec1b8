# Asks a running Tandem as vetiver's predict() for an endpoint in R does; what it got, as JSON. Debian has no package of
# vetiver, so its calls of httr and jsonlite stand here: the body has no Content-Type, NA is a text, and `error` in an
# answer stops.
#
# Rscript ask_vetiver.R URL KEY     with an array of records on standard input
arguments <- commandArgs(trailingOnly = TRUE)
url <- arguments[[1]]
signed <- httr::add_headers(Authorization = paste("Key", arguments[[2]]))

predicted <- function(new_data) {
  body <- jsonlite::toJSON(new_data, na = "string")
  reply <- httr::content(httr::POST(url, signed, body = body), "text", encoding = "UTF-8")
  found <- jsonlite::fromJSON(reply)
  if ("error" %in% names(found)) stop("Failed to predict: ", found$message, call. = FALSE)
  found
}

rows <- jsonlite::fromJSON(file("stdin"))
prototype <- jsonlite::fromJSON(
  httr::content(httr::GET(sub("predict$", "prototype", url), signed), "text", encoding = "UTF-8")
)
told <- list(
  predicted = sprintf("%.17g", predicted(rows)$.pred),
  refused = tryCatch(predicted(rows["wt"]), error = conditionMessage),
  levels = prototype$cyl$details$levels
)
cat(jsonlite::toJSON(told, auto_unbox = TRUE))
