# A model beside a prototype, as vetiver writes them.

case(
  "vetiver-cars",
  fit = function() {
    cars <- transform(mtcars, cyl = factor(cyl), maker = sub(" .*", "", rownames(mtcars)))
    cars$maker <- ifelse(cars$maker %in% c("Merc", "Toyota"), cars$maker, "else")
    list(model = lm(mpg ~ wt + cyl + maker, cars), prototype = cars[0L, c("wt", "cyl", "maker")])
  },
  rows = function() {
    n <- 210L
    rows <- data.frame(
      wt = seq(0, 7, length.out = n), cyl = factor(rep(c(8, 4, 6), n / 3L)), maker = rep(c("Merc", "else"), n / 2L)
    )
    rows$wt[c(2, 90, 91)] <- c(NA, NaN, -Inf)
    rows$cyl[30] <- NA
    rows$maker[31] <- NA
    rows
  },
  expect = list(
    response = function(model, rows) predict(model$model, rows),
    se = function(model, rows) {
      answer <- predict(model$model, rows, se.fit = TRUE)
      data.frame(fit = answer$fit, se = answer$se.fit)
    }
  )
)
