# VGAM's vglm, vgam and rrvglm. Of several linear predictors each is a column of `link`, and of several classes or
# percentiles each is one of `response`. predict() leaves out a row with a missing value; here it is answered NA.

# The formula calls s(), sm.ns() and the like of a package that is not attached here.
make_ready.vglm <- function(model, packages) {
  model <- make_ready.default(model, packages)
  terms <- supply_functions(list(terms = model@terms$terms), c(packages, "VGAM"))$terms
  model@terms$terms <- with_classes_of_columns(terms, model@misc$colnames.x)
  model
}

# rrvglm keeps no classes: what is a column of the model matrix by its own name is a number.
with_classes_of_columns <- function(terms, columns) {
  if (!is.null(attr(terms, "dataClasses"))) return(terms)
  numbers <- intersect(all.vars(attr(terms, "variables")), columns)
  attr(terms, "dataClasses") <- stats::setNames(rep("numeric", length(numbers)), numbers)
  terms
}

output_names.vglm <- function(model) c("response", "link")

predict_rows.vglm <- function(model, newdata, output, arguments) {
  answer <- function(newdata) call_predict(model, newdata, arguments, type = output)
  predict_complete(newdata, answer, none = no_vglm_answer(model, output))
}

no_vglm_answer <- function(model, output) {
  known <- if (output == "link") model@predictors else model@fitted.values
  if (NCOL(known) == 1L) return(numeric())
  no_columns(if (is.null(colnames(known))) as.character(seq_len(ncol(known))) else colnames(known))
}
