# A folder with score.R: init() reads what lies in the folder, run(df) answers.

case(
  "script-irises",
  fit = function() rpart::rpart(Species ~ ., iris),
  rows = function() {
    rows <- iris[c(1:150, 1:60), 1:4]
    rows$Petal.Length[c(2, 60, 61)] <- c(NA, NaN, -Inf)
    rows
  },
  expect = list(
    response = function(model, rows) cbind(as.data.frame(predict(model, rows)), best = predict(model, rows, "class"))
  ),
  script = c(
    "init <- function() model <<- readRDS(\"fit.rds\")",
    "run <- function(df) {",
    "  shares <- as.data.frame(predict(model, df))",
    "  cbind(shares, best = factor(names(shares)[max.col(shares, \"first\")]))",
    "}"
  ),
  sidecar = c(
    "packages: [rpart]",
    "schema:",
    "  inputs:",
    paste0("    - {name: ", names(iris)[1:4], ", type: numeric, na: true}")
  )
)
