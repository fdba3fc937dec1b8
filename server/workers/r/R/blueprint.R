# Models whose columns a blueprint of package hardhat describes: tidymodels' workflows, and models of packages that are
# made with hardhat. The blueprint has a data frame of the raw predictors without rows, with types, levels and time
# zones.

# The blueprint of a model; NULL where it has none. A workflow keeps it in what went before the fit.
blueprint_of <- function(model) {
  if (!is.list(model)) return(NULL)
  places <- list(
    function() .subset2(model, "blueprint"), function() .subset2(model, "pre")$mold$blueprint,
    function() .subset2(model, "preproc")$blueprint
  )
  for (place in places) {
    found <- tryCatch(place(), error = function(e) NULL)
    if (is.data.frame(found$ptypes$predictors)) return(found)
  }
}

inputs_of_blueprint <- function(blueprint) {
  if (is.null(blueprint)) return(NULL)
  predictors <- as.data.frame(blueprint$ptypes$predictors)
  # predict() takes any number where the data had whole ones.
  whole <- vapply(predictors, function(column) is.integer(column) && !is.object(column), NA)
  predictors[whole] <- lapply(predictors[whole], as.double)
  inputs_from_frame(predictors)
}

# The columns that tidymodels answers with are named .pred, .pred_class, .pred_high. A single column is each row's
# answer.
without_pred <- function(prediction) {
  if (!is.data.frame(prediction)) return(prediction)
  if (ncol(prediction) == 1L) return(prediction[[1L]])
  stats::setNames(prediction, sub("^[.]pred_", "", names(prediction)))
}
