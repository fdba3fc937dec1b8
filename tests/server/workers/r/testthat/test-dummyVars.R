# Without systemd a package that caret loads warns of the time zone.
suppressWarnings(skip_if_not_installed("caret"))

test_that("factors keep their levels, and caret's contrasts are found only while predict() runs", {
  data <- data.frame(region = factor(rep(c("north", "south", "east"), 5)), size = as.double(1:15))
  served <- opened(caret::dummyVars(~ region + size, data))
  expect_identical(input_types(served), c("factor", "numeric"))
  expect_identical(served$description$inputs[[1]]$levels, c("east", "north", "south"))
  reply <- scorer_of(served)(as_columns(data, served$description$inputs), "columns")
  expect_identical(reply[[2]], c("region.east", "region.north", "region.south", "size"))
  expect_identical(reply[[1]][[2]], as.double(data$region == "north"))
  expect_false(exists("contr.ltfr", envir = globalenv()))
})
