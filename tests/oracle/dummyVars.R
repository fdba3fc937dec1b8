# caret's dummyVars: a column for each level, or one less.

dummy_rows <- function() {
  set.seed(1)
  rows <- data.frame(region = factor(sample(c("north", "south", "east"), 220, TRUE)), size = rlnorm(220))
  rows$size[1] <- NA
  rows
}

dummy_answer <- function(model, rows) {
  attachNamespace("caret")
  on.exit(detach("package:caret"))
  predict(model, rows)
}

case(
  "dummies",
  fit = function() caret::dummyVars(~ region + size, stats::na.omit(dummy_rows())),
  rows = dummy_rows,
  expect = list(columns = dummy_answer)
)

case(
  "dummies-full-rank",
  fit = function() caret::dummyVars(~ region + size, stats::na.omit(dummy_rows()), fullRank = TRUE),
  rows = dummy_rows,
  expect = list(columns = dummy_answer)
)
