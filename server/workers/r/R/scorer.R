# The hot path: columns in, one prediction per row out. What depends on the model alone is done once, here.

# A function(columns, output, rows) that answers, without ever signalling an error, an unnamed list of
#   1 value: a vector, one element per row; or a list of such vectors if the output has several columns
#   2 names of those columns, or NULL
#   3 levels, or NULL: then the value holds 1-based codes
#   4 warnings, at most 20, none twice
#   5 the error's message, or NULL; with an error the value is NULL
# `columns` come in the order of `inputs`. `rows` is only needed for a model without inputs.
make_scorer <- function(model, inputs, arguments = list()) {
  as_frame <- frame_maker(inputs)
  force(model)
  arguments <- lapply(arguments, as_vector)
  function(columns, output, rows = length(columns[[1L]])) {
    warned <- character()
    error <- NULL
    answer <- tryCatch(
      withCallingHandlers(
        split_prediction(predict_rows(model, as_frame(columns, rows), output, arguments), rows),
        warning = function(w) {
          message <- conditionMessage(w)
          if (length(warned) < 20L && !message %in% warned) warned <<- c(warned, message)
          invokeRestart("muffleWarning")
        },
        message = function(m) invokeRestart("muffleMessage")
      ),
      error = function(e) {
        error <<- conditionMessage(e)
        no_answer
      }
    )
    list(answer[[1L]], answer[[2L]], answer[[3L]], warned, error)
  }
}

# A sidecar's [0.9, 0.1] arrives as a list of numbers; predict methods expect a vector.
as_vector <- function(argument) {
  single <- is.list(argument) && all(vapply(argument, is.atomic, NA)) && all(lengths(argument) == 1L)
  if (single) unlist(argument) else argument
}

no_answer <- list(NULL, NULL, NULL)

# data.frame() costs more than predict(); setting the attributes gives the same object.
frame_maker <- function(inputs) {
  names <- vapply(inputs, `[[`, "", "name")
  types <- vapply(inputs, `[[`, "", "type")
  coded <- which(types %in% c("factor", "ordered"))
  codings <- lapply(inputs, function(input) {
    list(levels = input$levels, class = if (input$type == "ordered") c("ordered", "factor") else "factor")
  })
  function(columns, rows) {
    for (i in coded) attributes(columns[[i]]) <- codings[[i]]
    attributes(columns) <- list(names = names, class = "data.frame", row.names = .set_row_names(rows))
    columns
  }
}

# list(value, column names, levels) of whatever predict() returned.
split_prediction <- function(prediction, rows) {
  if (is.data.frame(prediction)) return(split_columns(as.list(prediction), names(prediction), rows))
  if (!is.atomic(prediction) || is.null(prediction) || is.complex(prediction)) {
    stop("predict() returned a ", typeof(prediction), ", not one value per row", call. = FALSE)
  }
  if (is.matrix(prediction) && ncol(prediction) != 1L) return(split_matrix(prediction, rows))
  levels <- levels(prediction)
  attributes(prediction) <- NULL
  check_rows(length(prediction), rows)
  list(prediction, NULL, levels)
}

split_matrix <- function(prediction, rows) {
  check_rows(nrow(prediction), rows)
  names <- colnames(prediction)
  if (is.null(names)) names <- as.character(seq_len(ncol(prediction)))
  attributes(prediction) <- list(dim = dim(prediction))
  list(lapply(seq_len(ncol(prediction)), function(j) prediction[, j]), names, NULL)
}

split_columns <- function(columns, names, rows) {
  plain <- lapply(columns, function(column) {
    if (is.factor(column)) column <- as.character(column)
    split_prediction(column, rows)[[1L]]
  })
  list(unname(plain), names, NULL)
}

check_rows <- function(found, rows) {
  if (found != rows) {
    stop("predict() returned ", found, " predictions for ", rows, " rows", call. = FALSE)
  }
}
