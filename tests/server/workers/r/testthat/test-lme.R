sleep_lme <- function(...) nlme::lme(Reaction ~ Days, lme4::sleepstudy, random = ~ Days | Subject, ...)

test_that("groups are inputs with their levels; a missing or new one gives NA", {
  skip_if_not_installed("lme4")
  served <- opened(sleep_lme())
  expect_identical(input_names(served), c("Days", "Subject"))
  expect_identical(served$description$inputs[[2]]$levels, levels(nlme::getGroups(sleep_lme())))
  expect_identical(takes_missing(served), c(FALSE, TRUE))
  frame <- with_missing(lme4::sleepstudy[1:30, ], "Subject")
  expect_scored(served, frame, "response", bare(predict(served$model, frame)))
})

test_that("without the data the groups' levels are found too, and level 0 is the population", {
  skip_if_not_installed("lme4")
  served <- opened(sleep_lme(keep.data = FALSE))
  expect_identical(input_types(served), c("numeric", "factor"))
  frame <- lme4::sleepstudy[1:20, ]
  expect_scored(served, frame, "response", bare(predict(served$model, frame, level = 0)), list(level = 0L))
})

nested <- function() {
  data <- transform(nlme::Oats, wet = rep(c("dry", "wet"), 36))
  as.data.frame(lapply(unclass(data)[c("Block", "Variety", "nitro", "yield", "wet")], identity))
}

test_that("groups within groups, text in the formula, a formula that is a variable", {
  formula <- yield ~ nitro + wet
  served <- opened(nlme::lme(formula, nested(), random = ~ 1 | Block / Variety))
  expect_identical(input_names(served), c("nitro", "wet", "Block", "Variety"))
  expect_identical(served$description$inputs[[2]]$levels, c("dry", "wet"))
  expect_identical(served$description$inputs[[4]]$levels, levels(nlme::Oats$Variety))
  expect_scored(served, nested(), "response", bare(predict(served$model, nested())))
})

test_that("where predict() takes levels from the rows it is refused with the cure", {
  model <- nlme::lme(yield ~ factor(nitro), nested(), random = ~ 1 | Block)
  expect_refused("no_schema", "factor\\(nitro\\).*make the column a factor", opened(model))
  model <- nlme::gls(yield ~ wet, nested())
  expect_refused("no_schema", "levels of wet from the rows", opened(model))
})

test_that("of a nonlinear one the parameters are no inputs", {
  served <- opened(nlme::nlme(
    height ~ SSasymp(age, Asym, R0, lrc), datasets::Loblolly, fixed = Asym + R0 + lrc ~ 1, random = Asym ~ 1,
    start = c(Asym = 103, R0 = -8.5, lrc = -3.3)
  ))
  expect_identical(input_names(served), c("age", "Seed"))
  expect_scored(served, Loblolly[1:20, ], "response", bare(predict(served$model, Loblolly[1:20, ])))
})
