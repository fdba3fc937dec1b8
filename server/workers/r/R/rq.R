# quantreg::rq. One tau gives a response; several make an rqs, with a column for each. A missing value gives NA.

model_package.rq <- function(model) "quantreg"

model_package.rqs <- function(model) "quantreg"

output_names.rqs <- function(model) "quantiles"

predict_rows.rq <- function(model, newdata, output, arguments) call_predict(model, newdata, arguments)

predict_rows.rqs <- function(model, newdata, output, arguments) call_predict(model, newdata, arguments)
