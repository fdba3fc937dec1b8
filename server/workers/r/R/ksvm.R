# kernlab::ksvm, made from a formula or from a matrix. A row with a missing value, which predict() leaves out or
# refuses, gets NA.

model_package.ksvm <- function(model) "kernlab"

make_ready.ksvm <- function(model, packages) {
  model <- make_ready.default(model, packages)
  if (!is.null(model@terms)) model@terms <- supply_functions(list(terms = model@terms), c(packages, "kernlab"))$terms
  model
}

describe_inputs.ksvm <- function(model) {
  if (!methods::is(model@kernelf, "kernel")) {
    stop(tandem_condition("no_schema", paste(
      "the ksvm was fitted to a kernel matrix or to lists, which no row of data can be compared with; fit it with a",
      "formula and a data frame"
    )))
  }
  vectors <- model@xmatrix
  # Of several classes, one matrix for each pair.
  if (is.list(vectors)) vectors <- do.call(rbind, vectors)
  scaling <- list(
    columns = model@scaling$scaled,
    center = model@scaling$x.scale[["scaled:center"]],
    scale = model@scaling$x.scale[["scaled:scale"]]
  )
  if (is.null(model@terms)) return(inputs_from_matrix(vectors, scaling))
  # ksvm() scaled the matrix as a data frame, which changes names.
  inputs_from_design(model@terms, vectors, scaling, rename = make.names)
}

output_names.ksvm <- function(model) {
  switch(model@type,
    `C-svc` = ,
    `nu-svc` = ,
    `C-bsvc` = c("class", if (!is.null(model@prob.model[[1L]])) "prob", "decision"),
    `spoc-svc` = ,
    `kbb-svc` = "class",
    `one-svc` = c("class", "decision"),
    "response"
  )
}

predict_rows.ksvm <- function(model, newdata, output, arguments) {
  type <- switch(output, prob = "probabilities", decision = "decision", "response")
  answer <- function(newdata) {
    prediction <- call_predict(model, newdata, arguments, type = type)
    if (output == "decision") pairs_of_classes(prediction, model@lev) else prediction
  }
  predict_complete(newdata, answer, none = no_ksvm_answer(model, output))
}

# predict() leaves the columns without names. A positive value speaks for the class that is named first here, as
# e1071 has it. A one-class ksvm has no pairs.
pairs_of_classes <- function(values, levels) {
  if (length(levels) < 2L) return(as.vector(values))
  colnames(values) <- pair_names(levels)
  as.data.frame(values, optional = TRUE)
}

pair_names <- function(levels) {
  utils::combn(seq_along(levels), 2L, function(pair) paste(levels[rev(pair)], collapse = "/"))
}

no_ksvm_answer <- function(model, output) {
  levels <- model@lev
  switch(output,
    class = if (is.character(levels)) no_labels(levels) else levels[0L],
    prob = no_columns(levels),
    decision = if (length(levels) < 2L) numeric() else no_columns(pair_names(levels)),
    numeric()
  )
}
