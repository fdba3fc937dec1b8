# The model behind plumber, as one writes it by hand: one process, plumber's own parser and serializer.
# Rscript plumber.R model.rds port
arguments <- commandArgs(TRUE)
model <- readRDS(arguments[[1]])

score <- function(req) {
  rows <- req$body$rows
  rows$cyl <- factor(rows$cyl, levels = model$xlevels$cyl)
  list(predictions = unname(predict(model, rows)))
}

api <- plumber::pr()
api <- plumber::pr_post(api, "/score", score, serializer = plumber::serializer_json(digits = NA))
plumber::pr_run(api, port = as.integer(arguments[[2]]), docs = FALSE, quiet = TRUE)
