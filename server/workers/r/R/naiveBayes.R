# e1071::naiveBayes. A missing value is left out of the product, as predict.naiveBayes does. It takes columns by name
# and computes no terms, so a model fitted to log(x) asks for a column of that name.

model_package.naiveBayes <- function(model) "e1071"

describe_inputs.naiveBayes <- function(model) {
  fields <- lapply(stats::setNames(nm = names(model$tables)), function(name) {
    table <- model$tables[[name]]
    labels <- colnames(table)
    if (is.null(labels)) return(field(name, "numeric", values = normal_values(table)))
    if (identical(labels, c("FALSE", "TRUE"))) return(field(name, "logical"))
    field(name, "factor", levels = labels, values = seq_along(labels))
  })
  list(inputs = unname(lapply(fields, `[[`, "input")), values = lapply(fields, `[[`, "values"))
}

# Values of a column: the means of the classes, and values around them.
normal_values <- function(table) {
  mean <- table[, 1L]
  spread <- table[, 2L]
  values <- signif(as.double(c(mean, mean - spread, mean + spread)), 3L)
  values[is.finite(values)]
}

output_names.naiveBayes <- function(model) c("class", "prob")

predict_rows.naiveBayes <- function(model, newdata, output, arguments) {
  call_predict(model, newdata, arguments, type = if (output == "prob") "raw" else "class")
}
