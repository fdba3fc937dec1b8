# mgcv::gam and bam, all families. The standard errors are on the scale of the response. A missing value makes all of
# its row's answers NA. A bam that was fitted with discrete = TRUE is predicted so too, as predict() does.

model_package.gam <- function(model) "mgcv"

# Of several responses the terms count all but the first among the variables; the formula for predicting does not.
describe_inputs.gam <- function(model) {
  found <- inputs_from_terms(model$terms, frame = model$model, xlevels = model$xlevels)
  if (is.null(model$pred.formula)) return(found)
  needed <- all.vars(model$pred.formula)
  list(
    inputs = Filter(function(input) input$name %in% needed, found$inputs),
    values = found$values[names(found$values) %in% needed]
  )
}

# The response of a Cox model is the survival at a time that would have to come with the row.
output_names.gam <- function(model) {
  scale <- if (identical(model$family$family, "Cox PH")) "link" else c("response", "link")
  c(scale, "se", if (length(model$smooth) > 0L || length(attr(model$pterms, "term.labels")) > 0L) "terms")
}

predict_rows.gam <- function(model, newdata, output, arguments) {
  # predict() counts the rows by a column.
  if (length(newdata) == 0L) newdata[["(none)"]] <- rep(0, nrow(newdata))
  answer <- predict_gam(model, newdata, output, arguments)
  if (any(stats::complete.cases(newdata))) return(answer)
  # Where nothing can be predicted predict() forgets how many columns there are and what they are called.
  shape <- predict_gam(model, typical_row(model, newdata), output, arguments)
  if (is.matrix(shape)) shape[rep(NA_integer_, nrow(newdata)), , drop = FALSE] else answer
}

predict_gam <- function(model, newdata, output, arguments) {
  if (output != "se") return(call_predict(model, newdata, arguments, type = output))
  type <- output_names(model)[1L]
  prediction <- call_predict(model, newdata, arguments, type = type, se.fit = TRUE)
  answer <- fit_and_se(prediction)
  columns <- NCOL(prediction$fit)
  if (columns > 1L) colnames(answer) <- paste0(rep(c("fit.", "se."), each = columns), seq_len(columns))
  answer
}

# One row without a missing value, from what gam() keeps of each raw variable.
typical_row <- function(model, newdata) {
  columns <- Map(function(column, value) {
    if (is.null(value)) return(column[1L])
    if (is.factor(column)) return(factor(as.character(value[1L]), levels(column)))
    switch(typeof(column), logical = TRUE, character = as.character(value[1L]), as.double(value[1L]))
  }, newdata, model$var.summary[names(newdata)])
  structure(columns, names = names(newdata), class = "data.frame", row.names = .set_row_names(1L))
}
